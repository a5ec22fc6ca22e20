//! The driver on io_uring: one glommio executor per shard. The only file that names glommio.
//!
//! glommio's preemption timer is switched off. When it fires after glommio has taken in new events and before it runs
//! the tasks that these woke, glommio 0.9 goes to sleep with those tasks ready: their sockets are not polled any more,
//! so nothing wakes it again. With a timer of half a millisecond that took seconds to happen, with the default of 100
//! it happens on busy machines. Instead, who has used up its slice waits for a timer of zero length: glommio fires it
//! after it has looked at I/O, which it does as soon as nobody is ready.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream, UnixStream};
use glommio::timer::Timer;
use glommio::{Latency, LocalExecutorBuilder, Placement, PoolPlacement, Shares, TaskQueueHandle};
use rmqc_core::command::DriverKind;

use super::local::Class;
use super::{Driver, StreamListener, StreamRead, StreamWrite, blocking, local, socket};

/// Memory that glommio registers with each of its three rings; files and sockets are read without it, so the least.
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// Longer than any worker runs: the preemption timer must never fire.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// glommio wakes up this often in any case. A burst of completions (as many as the ring is deep) can have the same
/// effect as the preemption timer; then this ends the sleep.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Shares of the two classes when both have work.
const DATA_SHARES: usize = 100;
const CONTROL_SHARES: usize = 1000;

thread_local! {
    static QUEUES: Cell<Option<(TaskQueueHandle, TaskQueueHandle)>> = const { Cell::new(None) };
}

/// glommio on io_uring.
#[derive(Clone, Copy, Debug)]
pub struct Uring;

fn io_error(error: glommio::GlommioError<()>) -> io::Error {
    error.into()
}

/// A second descriptor of the same socket, for a half that is awaited on its own.
fn twin(stream: &TcpStream) -> io::Result<TcpStream> {
    // SAFETY: the stream holds the descriptor open during the call.
    let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }.try_clone_to_owned()?;
    // SAFETY: the descriptor is ours alone and a TCP socket.
    Ok(unsafe { TcpStream::from_raw_fd(descriptor.into_raw_fd()) })
}

fn split(stream: TcpStream) -> io::Result<(Reader, Writer)> {
    stream.set_nodelay(true).map_err(io_error)?;
    let writer = Writer { stream: twin(&stream)? };
    Ok((Reader { stream }, writer))
}

/// Reads into the buffer's spare room through glommio, which receives straight into the slice it is given.
fn poll_read_into<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    len_max: usize,
) -> Poll<io::Result<usize>> {
    let spare = buffer.spare_capacity_mut();
    let len = spare.len().min(len_max);
    debug_assert!(len > 0, "the caller reserves room");
    // SAFETY: the room is `len` bytes long and ours. glommio's unbuffered streams only hand the slice to `recv`, which
    // writes and never reads it, so it does not matter that the bytes have no value yet.
    let room = unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast::<u8>(), len) };
    let read = std::task::ready!(Pin::new(stream).poll_read(cx, room))?;
    assert!(read <= len, "the kernel wrote past the room it was given");
    // SAFETY: the kernel has written `read` bytes at the start of the spare room.
    unsafe { buffer.set_len(buffer.len() + read) };
    Poll::Ready(Ok(read))
}

/// Reading half.
pub struct Reader {
    stream: TcpStream,
}

impl StreamRead for Reader {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, len_max: usize) -> Poll<io::Result<usize>> {
        poll_read_into(&mut self.stream, cx, buffer, len_max)
    }
}

/// Writing half: an own descriptor of the socket.
pub struct Writer {
    stream: TcpStream,
}

impl Writer {
    fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream holds the descriptor open as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }
}

impl StreamWrite for Writer {
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Some(first) = buffers.iter().find(|buffer| !buffer.is_empty()) else { return Poll::Ready(Ok(0)) };
        loop {
            match socket::send_vectored(self.descriptor(), buffers) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                sent => return Poll::Ready(sent),
            }
        }
        // glommio has no vectored write; its plain one tries once more and then waits for room.
        Pin::new(&mut self.stream).poll_write(cx, first)
    }

    fn shutdown(&mut self) {
        socket::shut_down(self.descriptor());
    }
}

/// Listener.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl StreamListener for Listener {
    type Reader = Reader;
    type Writer = Writer;

    async fn accept(&self) -> io::Result<(Reader, Writer, SocketAddr)> {
        let stream = self.listener.accept().await.map_err(io_error)?;
        let peer = stream.peer_addr().map_err(io_error)?;
        let (reader, writer) = split(stream)?;
        Ok((reader, writer, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
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

/// Completes after glommio has looked at I/O: by a timer that is due when it is set, because due timers are fired next
/// to that.
struct NextTurn {
    waiting: Option<(Timer, Arc<TurnFired>)>,
}

/// Tells the timer's wake-up from others that the same task gets.
struct TurnFired {
    fired: AtomicBool,
    task: Waker,
}

impl Wake for TurnFired {
    fn wake(self: Arc<Self>) {
        self.fired.store(true, Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}

impl Future for NextTurn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((_, turn)) = &self.waiting {
            return if turn.fired.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending };
        }
        let turn = Arc::new(TurnFired { fired: AtomicBool::new(false), task: cx.waker().clone() });
        let waker = Waker::from(Arc::clone(&turn));
        let mut timer = Timer::new(NEVER);
        // A timer that is due already would complete in the poll that is to register it, so it becomes due afterwards.
        if Pin::new(&mut timer).poll(&mut Context::from_waker(&waker)).is_ready() {
            return Poll::Ready(());
        }
        timer.reset(Duration::ZERO);
        self.waiting = Some((timer, turn));
        Poll::Pending
    }
}

fn spawn_into(class: Class, future: impl Future<Output = ()> + 'static) {
    let (Some((data, control)), Some(future)) = (QUEUES.get(), local::guard::<Uring>(class, future)) else { return };
    let queue = if class == Class::Data { data } else { control };
    // The queues live as long as the executor, so this can't fail.
    if let Ok(task) = glommio::spawn_local_into(future, queue) {
        task.detach();
    }
}

impl Driver for Uring {
    const KIND: DriverKind = DriverKind::Uring;
    type Reader = Reader;
    type Writer = Writer;
    type Listener = Listener;
    type Doorbell = Doorbell;

    fn block_on(main: impl Future<Output = ()>) -> io::Result<()> {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(IO_MEMORY_BYTES)
            .preempt_timer(NEVER)
            // Ours are the helper threads of `unblock`; glommio insists on one of its own, which sleeps.
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .make()
            .map_err(io_error)?;
        executor.run(async move {
            let new_queue = |shares, latency, name| glommio::executor().create_task_queue(shares, latency, name);
            let data = new_queue(Shares::Static(DATA_SHARES), Latency::NotImportant, "data");
            let control = new_queue(Shares::Static(CONTROL_SHARES), Latency::NotImportant, "control");
            QUEUES.set(Some((data, control)));
            Self::spawn_control(async {
                loop {
                    Self::sleep(HEARTBEAT).await;
                }
            });
            main.await;
            QUEUES.set(None);
        });
        Ok(())
    }

    fn doorbell(socket: std::os::unix::net::UnixStream) -> io::Result<Doorbell> {
        // SAFETY: the descriptor is ours alone and a Unix stream socket.
        Ok(Doorbell { stream: unsafe { UnixStream::from_raw_fd(socket.into_raw_fd()) } })
    }

    fn spawn(future: impl Future<Output = ()> + 'static) {
        spawn_into(Class::Data, future);
    }

    fn spawn_control(future: impl Future<Output = ()> + 'static) {
        spawn_into(Class::Control, future);
    }

    async fn sleep(duration: Duration) {
        glommio::timer::sleep(duration).await;
    }

    async fn yield_now() {
        NextTurn { waiting: None }.await;
    }

    async fn yield_if_needed() {
        if local::slice_is_over() {
            Self::yield_now().await;
        }
    }

    async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<(Reader, Writer)> {
        let stream = TcpStream::connect_timeout(address, timeout.max(Duration::from_millis(1))).await;
        split(stream.map_err(io_error)?)
    }

    fn listen(address: SocketAddr) -> io::Result<Listener> {
        let descriptor: OwnedFd = socket::listening(address)?;
        let address = socket::bound_address(std::os::fd::AsFd::as_fd(&descriptor))?;
        // SAFETY: the descriptor is ours alone and a listening TCP socket.
        Ok(Listener { listener: unsafe { TcpListener::from_raw_fd(descriptor.into_raw_fd()) }, address })
    }

    fn unblock<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> {
        blocking::unblock(call)
    }
}
