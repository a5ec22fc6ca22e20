//! The driver on epoll: one tokio runtime of a single thread per shard. For machines where io_uring may not be used.
//!
//! tokio looks at I/O when nothing is ready to run; both classes share one queue, and a future that yields comes back
//! only after I/O had its turn, so the control class waits for at most one slice of each busy future.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use rmqc_core::command::DriverKind;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::LocalSet;

use super::local::Class;
use super::{Driver, StreamListener, StreamRead, StreamWrite, blocking, local, socket};

/// Turns of the scheduler between two looks at I/O.
const EVENT_INTERVAL: u32 = 8;

/// Sleeps below this are timed by the kernel: tokio counts whole milliseconds, and rounds up.
const FINE_SLEEP: Duration = Duration::from_millis(5);
/// Timers kept for such sleeps on each thread.
const SPARE_TIMERS_MAX: usize = 64;

/// tokio on epoll.
#[derive(Clone, Copy, Debug)]
pub struct Epoll;

fn poll_read_into<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    len_max: usize,
) -> Poll<io::Result<usize>> {
    let spare = buffer.spare_capacity_mut();
    let len = spare.len().min(len_max);
    debug_assert!(len > 0, "the caller reserves room");
    let (room, _) = spare.split_at_mut(len);
    let mut room = ReadBuf::uninit(room);
    std::task::ready!(Pin::new(stream).poll_read(cx, &mut room))?;
    let read = room.filled().len();
    // SAFETY: `ReadBuf` counts as filled only what was written, and it wrote at the start of the spare room.
    unsafe { buffer.advance_mut(read) };
    Poll::Ready(Ok(read))
}

fn split(stream: TcpStream) -> io::Result<(Reader, Writer)> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok((Reader { half: reader }, Writer { half: Some(writer) }))
}

/// Reading half.
pub struct Reader {
    half: OwnedReadHalf,
}

impl StreamRead for Reader {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, len_max: usize) -> Poll<io::Result<usize>> {
        poll_read_into(&mut self.half, cx, buffer, len_max)
    }
}

/// Writing half.
pub struct Writer {
    /// Taken only by the drop.
    half: Option<OwnedWriteHalf>,
}

impl StreamWrite for Writer {
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Some(half) = &self.half else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let stream: &TcpStream = half.as_ref();
        loop {
            std::task::ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || socket::send_vectored(stream.as_fd(), buffers)) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn shutdown(&mut self) {
        if let Some(half) = &self.half {
            socket::shut_down(half.as_ref().as_fd());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // tokio would end our direction of the connection; it closes when both halves are gone, as on the other driver.
        if let Some(half) = self.half.take() {
            half.forget();
        }
    }
}

/// Listener.
pub struct Listener {
    listener: TcpListener,
}

impl StreamListener for Listener {
    type Reader = Reader;
    type Writer = Writer;

    async fn accept(&self) -> io::Result<(Reader, Writer, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        let (reader, writer) = split(stream)?;
        Ok((reader, writer, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The executor's end of its doorbell.
pub struct Doorbell {
    stream: UnixStream,
}

impl StreamRead for Doorbell {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, len_max: usize) -> Poll<io::Result<usize>> {
        poll_read_into(&mut self.stream, cx, buffer, len_max)
    }
}

thread_local! {
    /// Timers of this thread's runtime that nobody needs at the moment: to make one takes several system calls.
    static SPARE_TIMERS: RefCell<Vec<AsyncFd<OwnedFd>>> = const { RefCell::new(Vec::new()) };
}

/// Takes all spare timers out when dropped: those of one runtime are of no use to another.
struct ForgetSpareTimers;

impl Drop for ForgetSpareTimers {
    fn drop(&mut self) {
        drop(SPARE_TIMERS.take());
    }
}

/// A timer of the kernel.
struct Timer {
    /// Taken only by the drop.
    descriptor: Option<AsyncFd<OwnedFd>>,
    /// It was set, and its time is not over yet.
    runs: bool,
}

impl Timer {
    /// A timer that becomes readable after `duration`.
    fn start(duration: Duration) -> io::Result<Self> {
        let spare = SPARE_TIMERS.with_borrow_mut(Vec::pop);
        let mut timer = Self { descriptor: Some(spare.map_or_else(Self::make, Ok)?), runs: false };
        // No time at all would stop it.
        timer.set(duration.max(Duration::from_nanos(1)))?;
        Ok(timer)
    }

    fn make() -> io::Result<AsyncFd<OwnedFd>> {
        // SAFETY: the call takes no pointers.
        let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if timer < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) };
        // SAFETY: the descriptor is owned by what is registered, and so stays open and the same as long as it is registered.
        unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.map_err(Into::into)
    }

    /// Sets it anew, whatever it was set to; no time at all stops it.
    fn set(&mut self, duration: Duration) -> io::Result<()> {
        let Some(descriptor) = &self.descriptor else { return Ok(()) };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let after = libc::timespec {
            tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(duration.subsec_nanos()),
        };
        let once = libc::itimerspec { it_interval: never, it_value: after };
        // SAFETY: the descriptor is open, and the kernel reads one `itimerspec`.
        if unsafe { libc::timerfd_settime(descriptor.as_raw_fd(), 0, &raw const once, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        self.runs = !duration.is_zero();
        Ok(())
    }

    /// Waits until its time is over.
    async fn over(&mut self) -> io::Result<()> {
        let Some(descriptor) = &self.descriptor else { return Ok(()) };
        loop {
            let mut ready = descriptor.readable().await?;
            let read = read_times(ready.get_inner());
            // It is not ready until it is set again, and what was known of it may be of an earlier use.
            ready.clear_ready();
            if !matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                self.runs = false;
                return read;
            }
        }
    }
}

/// How often a timer's time was over since it was set: takes it off the timer, or would block.
fn read_times(timer: &OwnedFd) -> io::Result<()> {
    let mut times = [0_u8; 8];
    // SAFETY: the descriptor is open, and the buffer as long as is said.
    let read = unsafe { libc::read(timer.as_raw_fd(), times.as_mut_ptr().cast(), times.len()) };
    if read < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // One that went on would wake the thread for nothing.
        if self.runs && self.set(Duration::ZERO).is_err() {
            return;
        }
        let Some(descriptor) = self.descriptor.take() else { return };
        // `try_with`: things are also dropped while the thread ends.
        let _ = SPARE_TIMERS.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_TIMERS_MAX {
                spare.push(descriptor);
            }
        });
    }
}

fn spawn_as(class: Class, future: impl Future<Output = ()> + 'static) {
    if let Some(future) = local::guard::<Epoll>(class, future) {
        // What becomes of it is told by the guard, not by the handle.
        drop(tokio::task::spawn_local(tokio::task::unconstrained(future)));
    }
}

impl Driver for Epoll {
    const KIND: DriverKind = DriverKind::Epoll;
    type Reader = Reader;
    type Writer = Writer;
    type Listener = Listener;
    type Doorbell = Doorbell;

    fn block_on(main: impl Future<Output = ()>) -> io::Result<()> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()?;
        // After the futures, which give timers back, and before the runtime.
        let _forget = ForgetSpareTimers;
        let futures = LocalSet::new();
        futures.block_on(&runtime, main);
        Ok(())
    }

    fn doorbell(socket: std::os::unix::net::UnixStream) -> io::Result<Doorbell> {
        socket.set_nonblocking(true)?;
        Ok(Doorbell { stream: UnixStream::from_std(socket)? })
    }

    fn spawn(future: impl Future<Output = ()> + 'static) {
        spawn_as(Class::Data, future);
    }

    fn spawn_control(future: impl Future<Output = ()> + 'static) {
        spawn_as(Class::Control, future);
    }

    async fn sleep(duration: Duration) {
        if duration < FINE_SLEEP
            && let Ok(mut timer) = Timer::start(duration)
            && timer.over().await.is_ok()
        {
            return;
        }
        tokio::time::sleep(duration).await;
    }

    async fn yield_now() {
        tokio::task::yield_now().await;
    }

    async fn yield_if_needed() {
        if local::slice_is_over() {
            Self::yield_now().await;
        }
    }

    async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<(Reader, Writer)> {
        match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(stream) => split(stream?),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out")),
        }
    }

    fn listen(address: SocketAddr) -> io::Result<Listener> {
        let listener = std::net::TcpListener::from(socket::listening(address)?);
        Ok(Listener { listener: TcpListener::from_std(listener)? })
    }

    fn unblock<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> {
        blocking::unblock(call)
    }
}
