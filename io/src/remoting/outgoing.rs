//! Writes what waits for a connection: many parts by one gathered call.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::driver::StreamWrite;

/// Buffers handed to one vectored write.
const WRITE_SLICES: usize = 64;

/// Writes from the front of `sending` once and drops what was taken; gives its length in bytes. Safe to drop: what was
/// written by then has left the front.
pub async fn write_front(writer: &mut impl StreamWrite, sending: &mut VecDeque<Bytes>) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut slices: [IoSlice<'_>; WRITE_SLICES] = std::array::from_fn(|_| IoSlice::new(&[]));
        let mut used = 0usize;
        for (slice, part) in slices.iter_mut().zip(&*sending) {
            *slice = IoSlice::new(part);
            used = used.saturating_add(1);
        }
        let written = std::task::ready!(writer.poll_write_vectored(cx, slices.get(..used).unwrap_or_default()));
        if let Ok(len) = &written {
            advance(sending, *len);
        }
        std::task::Poll::Ready(written)
    })
    .await
}

/// Drops `len` written bytes off the front.
fn advance(sending: &mut VecDeque<Bytes>, mut len: usize) {
    while len > 0 {
        let Some(part) = sending.front_mut() else { return };
        if part.len() > len {
            part.advance(len);
            return;
        }
        len = len.saturating_sub(part.len());
        sending.pop_front();
    }
}
