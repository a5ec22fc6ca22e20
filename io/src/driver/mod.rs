//! The seam under everything that moves bytes: TCP, timers, local tasks, and a way out for blocking calls.
//!
//! Two drivers stand under it: glommio on io_uring, and one current-thread tokio runtime per shard on epoll. What
//! stands above is generic over [`Driver`] and written once; no call through the seam allocates.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use rmqc_core::command::DriverKind;

pub mod bell;
mod blocking;
pub mod epoll;
pub mod local;
pub mod probe;
mod slots;
mod socket;
pub mod uring;

/// The reading half of a connection.
pub trait StreamRead: 'static {
    /// Reads at most `len_max` bytes into the buffer's spare capacity, which the caller has reserved and which is
    /// never zeroed first. `Ok(0)` means that the other side closed.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, len_max: usize) -> Poll<io::Result<usize>>;
}

/// The writing half of a connection. Dropping both halves closes it.
pub trait StreamWrite: 'static {
    /// Writes from the buffers in order; gives how many bytes were taken, at least one unless all are empty.
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Ends the connection both ways at once; pending reads and writes of either half complete.
    fn shutdown(&mut self);
}

/// Accepts connections.
pub trait StreamListener: 'static {
    /// Reading half of what is accepted.
    type Reader: StreamRead;
    /// Writing half of what is accepted.
    type Writer: StreamWrite;

    /// The next connection. Safe to drop.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Reader, Self::Writer, SocketAddr)>>;
    /// The bound address, with the port that the system chose for port 0.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// An I/O driver. All functions but the constants must be called on one of the driver's own executors.
pub trait Driver: Copy + 'static {
    /// Which one.
    const KIND: DriverKind;
    /// Reading half of a connection.
    type Reader: StreamRead;
    /// Writing half of a connection.
    type Writer: StreamWrite;
    /// Listener.
    type Listener: StreamListener<Reader = Self::Reader, Writer = Self::Writer>;

    /// The executor's end of its doorbell.
    type Doorbell: StreamRead;

    /// Runs an executor on this thread until the future completes. Only [`local::run_executor`] calls it, which adds
    /// what the other functions need.
    ///
    /// # Errors
    /// When the system refuses what the driver needs.
    fn block_on(main: impl Future<Output = ()>) -> io::Result<()>;

    /// Takes over the socket on which the executor hears its doorbell.
    ///
    /// # Errors
    /// When the driver can't poll it.
    fn doorbell(socket: std::os::unix::net::UnixStream) -> io::Result<Self::Doorbell>;

    /// Runs a future on this executor, in the class of the data. It goes on by itself, and is dropped when the
    /// executor ends. A panic in it ends the executor, with its message: catch what may panic.
    fn spawn(future: impl Future<Output = ()> + 'static);

    /// The same in the control class: the future gets its turn within milliseconds, however busy the data class is
    /// (as long as that yields).
    fn spawn_control(future: impl Future<Output = ()> + 'static);

    /// Completes after `duration`. Safe to drop.
    fn sleep(duration: Duration) -> impl Future<Output = ()>;

    /// Lets everything else that is ready run first, after a look at I/O.
    fn yield_now() -> impl Future<Output = ()>;

    /// The same, if this task's slice (about half a millisecond) is used up; costs some tens of nanoseconds otherwise.
    fn yield_if_needed() -> impl Future<Output = ()>;

    /// Connects with `TCP_NODELAY`. Safe to drop.
    fn connect(
        address: SocketAddr,
        timeout: Duration,
    ) -> impl Future<Output = io::Result<(Self::Reader, Self::Writer)>>;

    /// Listens; address reuse is on.
    fn listen(address: SocketAddr) -> io::Result<Self::Listener>;

    /// Runs a blocking call on a helper thread. The call goes on if the future is dropped.
    fn unblock<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T>;
}
