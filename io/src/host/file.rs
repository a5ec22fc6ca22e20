//! Files: what memory has is read on the spot, the rest on a helper thread; writes go into the page cache.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use rmqc_core::host::{FileStatus, HostFile, LocalFuture};
use rmqc_core::limits::WRITE_VECTORS_MAX;

use crate::driver::Driver;

/// A file to read, and whether its reads have nothing to wait for.
pub(super) fn open_read(path: &Path) -> io::Result<(File, bool)> {
    let file = File::open(path)?;
    // A hint for the kernel's read-ahead; without it reading is only slower.
    // SAFETY: the descriptor is open, and the call takes no pointers.
    let _ = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_SEQUENTIAL) };
    let in_memory = is_in_memory(&file);
    Ok((file, in_memory))
}

pub(super) fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

pub(super) fn status_of(metadata: &Metadata) -> FileStatus {
    FileStatus {
        device: metadata.dev(),
        inode: metadata.ino(),
        len: metadata.len(),
        is_file: metadata.is_file(),
        modified_ms: Some(unix_ms_of(metadata.mtime(), metadata.mtime_nsec())),
    }
}

/// A file's time in milliseconds.
fn unix_ms_of(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

/// Status of a path, following symbolic links, from what this machine knows: a network file system is not asked anew.
pub(super) fn status_of_path(path: &Path) -> io::Result<FileStatus> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut status = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let (flags, mask) = (libc::AT_STATX_DONT_SYNC, libc::STATX_BASIC_STATS);
    // SAFETY: the path ends with a zero byte, and the kernel writes one `statx` into the room for one.
    if unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, mask, status.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed memory is a valid `statx`, and the call filled it in.
    let status = unsafe { status.assume_init() };
    let is_file = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFREG;
    let device = libc::makedev(status.stx_dev_major, status.stx_dev_minor);
    let modified_ms = Some(unix_ms_of(status.stx_mtime.tv_sec, i64::from(status.stx_mtime.tv_nsec)));
    Ok(FileStatus { device, inode: status.stx_ino, len: status.stx_size, is_file, modified_ms })
}

/// Reads once at `offset` into the buffer's spare room, at most `len` bytes.
fn read_once(file: &File, offset: u64, buffer: &mut BytesMut, len: usize, flags: libc::c_int) -> io::Result<usize> {
    let offset = i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let spare = buffer.spare_capacity_mut();
    let room = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len().min(len) };
    loop {
        // SAFETY: `room` lies within the buffer's spare capacity, and the kernel only writes to it.
        let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const room, 1, offset, flags) };
        match usize::try_from(read) {
            Ok(read) => {
                assert!(read <= room.iov_len, "the kernel wrote past the room it was given");
                // SAFETY: the kernel has written `read` bytes at the start of the spare room.
                unsafe { buffer.advance_mut(read) };
                return Ok(read);
            }
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// Whether an error only says that the data is not at hand, or that this file system can't tell.
fn needs_waiting(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL))
}

/// Whether a file has no disk below it. Not on a shard: a network may be asked.
fn is_in_memory(file: &File) -> bool {
    let mut system = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the descriptor is open, and the kernel writes one `statfs` into the room for one; all zeros is a valid one.
    let system = unsafe {
        libc::fstatfs(file.as_raw_fd(), system.as_mut_ptr());
        system.assume_init()
    };
    system.f_type == libc::TMPFS_MAGIC
}

/// The extended attribute that holds a mark.
fn attribute(name: &str) -> io::Result<std::ffi::CString> {
    std::ffi::CString::new(format!("user.{name}")).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// An open file.
pub(super) struct DriverFile<D> {
    file: Arc<File>,
    /// How a read on the spot is asked for.
    flags: libc::c_int,
    driver: PhantomData<D>,
}

impl<D: Driver> DriverFile<D> {
    pub(super) fn new(file: File, in_memory: bool) -> Self {
        // A file system in memory can't tell what would wait: nothing does.
        let flags = if in_memory { 0 } else { libc::RWF_NOWAIT };
        Self { file: Arc::new(file), flags, driver: PhantomData }
    }
}

impl<D: Driver> HostFile for DriverFile<D> {
    fn read_at<'a>(&'a self, offset: u64, buffer: &'a mut BytesMut, len: usize) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(async move {
            if len == 0 {
                return Ok(0);
            }
            buffer.reserve(len);
            match read_once(&self.file, offset, buffer, len, self.flags) {
                Err(error) if needs_waiting(&error) => {}
                read => return read,
            }
            let (file, mut moved) = (Arc::clone(&self.file), std::mem::take(buffer));
            let (read, moved) = D::unblock(move || {
                let read = read_once(&file, offset, &mut moved, len, 0);
                (read, moved)
            })
            .await;
            *buffer = moved;
            read
        })
    }

    fn append<'a>(&'a self, buffers: &'a mut [IoSlice<'a>]) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(async move {
            let mut rest = buffers;
            let mut total = 0;
            // Empty buffers alone would make a write of nothing, which looks like a full disk.
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let (now, _) = rest.split_at(rest.len().min(WRITE_VECTORS_MAX));
                match (&*self.file).write_vectored(now) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        total += written;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
                if !rest.is_empty() {
                    D::yield_if_needed().await;
                }
            }
            Ok(total)
        })
    }

    fn set_len(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        Box::pin(D::unblock(move || file.set_len(len)))
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        Box::pin(D::unblock(move || file.sync_data()))
    }

    fn status(&self) -> io::Result<FileStatus> {
        self.file.metadata().map(|metadata| status_of(&metadata))
    }

    fn set_mark(&self, name: &str) -> io::Result<()> {
        let name = attribute(name)?;
        // SAFETY: the descriptor is open, the name ends with a zero byte, and a value of no bytes is never read.
        match unsafe { libc::fsetxattr(self.file.as_raw_fd(), name.as_ptr(), std::ptr::null(), 0, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn has_mark(&self, name: &str) -> bool {
        let Ok(name) = attribute(name) else { return false };
        // SAFETY: the descriptor is open, the name ends with a zero byte, and with room for no bytes nothing is written.
        unsafe { libc::fgetxattr(self.file.as_raw_fd(), name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
    }
}
