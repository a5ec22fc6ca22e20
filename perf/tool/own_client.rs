//! The worker's own remoting client in a bare loop: what the protocol costs the way the worker speaks it, with no task, record,
//! converter, connector or commit around it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rmqc_io::driver::bell::Bell;
use rmqc_io::driver::epoll::Epoll;
use rmqc_io::driver::local::{ExecutorEnd, run_executor};
use rmqc_io::driver::uring::Uring;
use rmqc_io::driver::{Driver, probe};
use rmqc_io::local::Event;
use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::{Connection, Request};
use rmqc_io::remoting::pull::Pull;
use rmqc_io::remoting::pulled::PulledMessages;

use super::bare::{PATIENCE, PULL_MESSAGES, Pulled};

/// Sends batches to the queues in turn, `window` of them under way, on this thread.
///
/// # Panics
/// When the broker refuses a batch, or the connection fails.
pub fn send(address: &str, topic: &str, queues: usize, window: u32, batches: Vec<Vec<u8>>) {
    let topic: Arc<str> = topic.into();
    let batches: VecDeque<_> = batches.into_iter().enumerate().collect();
    let batches = Rc::new(RefCell::new(batches));
    at_once(address, window, move |connection, _| {
        let (topic, batches) = (topic.clone(), batches.clone());
        async move {
            loop {
                let next = batches.borrow_mut().pop_front();
                let Some((number, batch)) = next else { return Ok(()) };
                send_batch(&connection, &topic, number % queues, batch).await?;
            }
        }
    });
}

/// Reads all queues of a topic from their beginning to their end on this thread, as [`super::bare::pull`] does: one request a
/// queue is under way.
///
/// # Panics
/// When the broker refuses, an answer is malformed, or the connection fails.
pub fn pull(address: &str, topic: &str, queues: u32) -> Pulled {
    let topic: Arc<str> = topic.into();
    let all = Rc::new(Cell::new(Pulled::default()));
    let sum = all.clone();
    at_once(address, queues, move |connection, queue| {
        let (topic, sum) = (topic.clone(), sum.clone());
        async move { read_queue(&connection, &topic, queue, &sum).await.map_err(|error| format!("queue {queue}: {error}")) }
    });
    all.get()
}

/// So many futures with one connection, on the driver that the worker would take, until all are through.
fn at_once<F>(address: &str, count: u32, each: impl Fn(Connection, u32) -> F + 'static)
where
    F: Future<Output = Result<(), String>> + 'static,
{
    let address = address.parse().unwrap();
    let io = std::env::var("RMQC_IO").unwrap_or_default();
    if io == "epoll" || probe::obstacle(1).is_some() {
        at_once_on::<Epoll, _>(address, count, each);
    } else {
        at_once_on::<Uring, _>(address, count, each);
    }
}

fn at_once_on<D: Driver, F>(address: SocketAddr, count: u32, each: impl Fn(Connection, u32) -> F + 'static)
where
    F: Future<Output = Result<(), String>> + 'static,
{
    let (bell, doorbell) = Bell::new().unwrap();
    let end = run_executor::<D, _>(bell, doorbell, move || async move {
        let socket = D::connect(address, PATIENCE).await.unwrap();
        let connection = Connection::start::<D>(address, socket, None, Event::default(), Rc::default());
        let (open, ended) = (Rc::new(Cell::new(count)), Event::default());
        let failure: Rc<RefCell<Result<(), String>>> = Rc::new(RefCell::new(Ok(())));
        for number in 0..count {
            let work = each(connection.clone(), number);
            let (open, ended, failure) = (open.clone(), ended.clone(), failure.clone());
            D::spawn(async move {
                if let Err(error) = work.await {
                    *failure.borrow_mut() = Err(error);
                }
                open.set(open.get() - 1);
                ended.notify();
            });
        }
        while open.get() > 0 {
            ended.since(ended.seen()).await;
        }
        connection.close("all is done");
        failure.borrow_mut().as_ref().unwrap_or_else(|error| panic!("{error}"));
    });
    assert_eq!(end, ExecutorEnd::Done);
}

async fn send_batch(connection: &Connection, topic: &str, queue: usize, batch: Vec<u8>) -> Result<(), String> {
    let request = Request::new(request::SEND_BATCH_MESSAGE)
        .with("a", "bare")
        .with("b", topic)
        .with("c", "TBW102")
        .with("d", 4)
        .with("e", i64::try_from(queue).unwrap())
        .with("f", 0)
        .with("g", 0)
        .with("h", 0)
        .with("i", "")
        .with("j", 0)
        .with("k", "false")
        .with("m", "true")
        .with_body(batch);
    let answer = connection.call(&request, PATIENCE).await.map_err(|error| error.to_string())?;
    match answer.header.code {
        response::SUCCESS => Ok(()),
        code => Err(format!("the broker refuses a batch with code {code}")),
    }
}

async fn read_queue(connection: &Connection, topic: &str, queue: u32, sum: &Cell<Pulled>) -> Result<(), String> {
    let (mut next, mut found) = (0, 0);
    let queue_id = i32::try_from(queue).map_err(|error| error.to_string())?;
    loop {
        let pull = Pull {
            group: "bare",
            topic,
            queue_id,
            offset: next,
            messages_max: PULL_MESSAGES,
            expression: "*",
            may_wait: false,
            suspend: Duration::ZERO,
        };
        let answer = connection.call(&pull.request(), PATIENCE).await.map_err(|error| error.to_string())?;
        match answer.header.code {
            response::SUCCESS => {}
            response::PULL_NOT_FOUND | response::PULL_RETRY_IMMEDIATELY => return Ok(()),
            code => return Err(format!("the broker answers a pull with code {code}")),
        }
        let mut expected = next;
        let messages = PulledMessages::read(answer.body, found, |message, _| {
            let follows = message.queue_offset == expected;
            expected += i64::from(follows);
            follows
        });
        found = messages.map_err(|error| error.to_string())?.spans().len();
        let so_far = sum.get();
        let messages = so_far.messages + found as u64;
        sum.set(Pulled { messages, answers: so_far.answers + 1 });
        next += i64::try_from(found).unwrap();
        if found == 0 || answer.header.fields.number("nextBeginOffset") != Some(next) {
            return Err(format!("the offsets after {next} have a gap"));
        }
    }
}
