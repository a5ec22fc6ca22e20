//! Sockets, timers, helper threads, files and watches: the same tests on both drivers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

mod files;
mod sockets;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmqc_io::driver::Driver;
use rmqc_io::driver::bell::Bell;
use rmqc_io::driver::epoll::Epoll;
use rmqc_io::driver::local::{ExecutorEnd, run_executor};
use rmqc_io::driver::uring::Uring;

/// Runs a future on an executor of its own and gives its result; a panic in it is the test's.
pub fn on<D: Driver, T: Send + 'static, F: Future<Output = T> + 'static>(
    main: impl FnOnce() -> F + Send + 'static,
) -> T {
    let (bell, doorbell) = Bell::new().unwrap();
    let result = Arc::new(Mutex::new(None));
    let place = Arc::clone(&result);
    let end = std::thread::spawn(move || {
        run_executor::<D, _>(bell, doorbell, move || async move {
            let limited = futures_lite::future::or(async { Some(main().await) }, async {
                D::sleep(Duration::from_secs(30)).await;
                None
            });
            *place.lock().unwrap() = limited.await;
        })
    });
    assert_eq!(end.join().unwrap(), ExecutorEnd::Done);
    let result = result.lock().unwrap().take();
    result.expect("the test's deadline passed")
}

/// One test for each driver.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod uring { $( #[test] fn $name() { super::$name::<super::Uring>(); } )+ }
        mod epoll { $( #[test] fn $name() { super::$name::<super::Epoll>(); } )+ }
    };
}
pub(crate) use on_both;

fn a_blocking_call_comes_back_and_its_panic_too<D: Driver>() {
    let sum = on::<D, _, _>(|| async {
        let mut sum = 0_u64;
        for number in 0..200_u64 {
            sum += D::unblock(move || number * 2).await;
        }
        sum
    });
    assert_eq!(sum, 199 * 200);
    let (bell, doorbell) = Bell::new().unwrap();
    let end = std::thread::spawn(|| {
        run_executor::<D, _>(bell, doorbell, || async { D::unblock(|| panic!("in the helper")).await })
    });
    assert_eq!(end.join().unwrap(), ExecutorEnd::Panicked("in the helper".to_owned()));
}

fn many_blocking_calls_at_once_wait_for_room<D: Driver>() {
    const CALLS: u64 = 5000;
    let sum = on::<D, _, _>(|| async {
        let (told, done) = rmqc_io::driver::bell::notifier().unwrap();
        let sum = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
        for number in 0..CALLS {
            let (sum, told) = (std::rc::Rc::clone(&sum), told.clone());
            D::spawn(async move {
                let answer = D::unblock(move || number).await;
                let (total, count) = sum.get();
                sum.set((total + answer, count + 1));
                if count + 1 == CALLS {
                    told.notify();
                }
            });
        }
        done.wait().await;
        sum.get().0
    });
    assert_eq!(sum, CALLS * (CALLS - 1) / 2);
}

fn futures_that_wake_each_other_without_end_leave_room_for_timers<D: Driver>() {
    // Neither ever yields of its own accord: the executor must see to its I/O and timers all the same.
    let slept = on::<D, _, _>(|| async {
        for _ in 0..3 {
            D::spawn(async {
                loop {
                    futures_lite::future::yield_now().await;
                }
            });
        }
        let start = std::time::Instant::now();
        for _ in 0..20 {
            D::sleep(Duration::from_millis(2)).await;
        }
        start.elapsed()
    });
    assert!(slept < Duration::from_secs(2), "{slept:?}");
}

fn no_sleep_is_over_early_whatever_was_slept_before<D: Driver>() {
    on::<D, _, _>(|| async {
        for turn in 0..30_u64 {
            // One that is over, one that is given up before it is, and several at once.
            D::sleep(Duration::from_micros(200)).await;
            let given_up = D::sleep(Duration::from_micros(500 + 20 * turn));
            futures_lite::future::or(given_up, futures_lite::future::yield_now()).await;
            let sleeps = [1, 2, 3].map(|ms| {
                let start = std::time::Instant::now();
                let wanted = Duration::from_millis(ms);
                Box::pin(async move {
                    D::sleep(wanted).await;
                    assert!(start.elapsed() >= wanted, "{wanted:?} took {:?}", start.elapsed());
                })
            });
            for sleep in sleeps.into_iter().rev() {
                sleep.await;
            }
            D::sleep(Duration::ZERO).await;
        }
    });
}

fn an_abandoned_executor_drops_its_futures<D: Driver>() {
    struct Told(Arc<Mutex<bool>>);
    impl Drop for Told {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    let (bell, doorbell) = Bell::new().unwrap();
    let (inner, dropped) = (Arc::clone(&bell), Arc::new(Mutex::new(false)));
    let told = Told(Arc::clone(&dropped));
    let thread = std::thread::spawn(move || {
        run_executor::<D, _>(inner, doorbell, move || async move {
            D::spawn(async move {
                let _told = told;
                std::future::pending::<()>().await;
            });
            std::future::pending::<()>().await;
        })
    });
    bell.abandon();
    assert_eq!(thread.join().unwrap(), ExecutorEnd::Abandoned);
    assert!(*dropped.lock().unwrap());
}

fn notes_from_another_thread_arrive<D: Driver>() {
    on::<D, _, _>(|| async {
        let (there, came) = rmqc_io::driver::bell::notifier().unwrap();
        let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let sent = Arc::clone(&count);
        let thread = std::thread::spawn(move || {
            for _ in 0..100_000 {
                sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                there.notify();
            }
        });
        while count.load(std::sync::atomic::Ordering::SeqCst) < 100_000 {
            came.wait().await;
        }
        thread.join().unwrap();
    });
}

on_both!(
    a_blocking_call_comes_back_and_its_panic_too,
    many_blocking_calls_at_once_wait_for_room,
    futures_that_wake_each_other_without_end_leave_room_for_timers,
    no_sleep_is_over_early_whatever_was_slept_before,
    an_abandoned_executor_drops_its_futures,
    notes_from_another_thread_arrive,
);
