//! The driver on epoll: one tokio runtime of a single thread per shard. For machines where io_uring may not be used.
//!
//! tokio looks at I/O when nothing is ready to run; both classes share one queue, and a future that yields comes back
//! only after I/O had its turn, so the control class waits for at most one slice of each busy future.

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

/// A timer of the kernel that becomes readable after `duration`, more than nothing.
fn timer(duration: Duration) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the call takes no pointers.
    let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    if timer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    let timer = unsafe { OwnedFd::from_raw_fd(timer) };
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let after = libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        // Zero would switch the timer off.
        tv_nsec: libc::c_long::from(duration.subsec_nanos()).max(1),
    };
    let once = libc::itimerspec { it_interval: never, it_value: after };
    // SAFETY: the descriptor is open, and the kernel reads one `itimerspec`.
    if unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const once, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is owned by what is registered, and so stays open and the same as long as it is registered.
    unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.map_err(Into::into)
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
            && let Ok(timer) = timer(duration)
        {
            // Readable when the time is over; there is nothing to be read but how often.
            let _ = timer.readable().await;
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
