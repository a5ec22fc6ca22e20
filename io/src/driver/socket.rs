//! The socket calls that both drivers make themselves. `unsafe` is confined to these few calls.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rmqc_core::limits::WRITE_VECTORS_MAX;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Writes what fits at once, without a signal when the other side is gone.
///
/// # Errors
/// `WouldBlock` when nothing fits.
pub(super) fn send_vectored(socket: BorrowedFd<'_>, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: all fields of `msghdr` may be zero, which is how one means "none".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = buffers.as_ptr().cast_mut().cast();
    message.msg_iovlen = buffers.len().min(WRITE_VECTORS_MAX) as _;
    // SAFETY: `IoSlice` has the layout of `iovec` by its own promise, `msg_iovlen` is within the slice, the kernel only
    // reads from the buffers, and all outlive the call.
    let sent =
        unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Ends a connection both ways; pending reads and writes complete.
pub(super) fn shut_down(socket: BorrowedFd<'_>) {
    // An error means that the connection is gone already.
    let _ = socket2::SockRef::from(&socket).shutdown(std::net::Shutdown::Both);
}

/// A bound and listening socket, not blocking, with address reuse.
pub(super) fn listening(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The address to which a listening socket is bound.
pub(super) fn bound_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let address = socket2::SockRef::from(&socket).local_addr()?;
    address.as_socket().ok_or_else(|| io::Error::other("the socket is not bound to an IP address"))
}
