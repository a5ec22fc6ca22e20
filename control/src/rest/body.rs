//! Reads a request's body within bounds of size and time.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};

/// Longest request body, in bytes, as in the Java worker.
pub(super) const BODY_BYTES_MAX: usize = 1_000_000;
/// Bytes beyond that which are still taken and thrown away, so that the client reads why it is refused.
const SURPLUS_BYTES_MAX: usize = 8 * 1_000_000;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoBody {
    /// It is longer than [`BODY_BYTES_MAX`].
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The client left, or sent no proper chunks.
    Broken,
}

/// Reads all of it.
pub(super) async fn read(body: Body, patience: Duration) -> Result<Vec<u8>, NoBody> {
    tokio::time::timeout(patience, collect(body)).await.unwrap_or(Err(NoBody::TooSlow))
}

async fn collect(mut body: Body) -> Result<Vec<u8>, NoBody> {
    if body.size_hint().lower() > surplus_end() {
        return Err(NoBody::TooLarge);
    }
    let mut whole = Vec::new();
    let mut surplus = 0usize;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| NoBody::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if surplus > 0 || whole.len().saturating_add(data.len()) > BODY_BYTES_MAX {
            whole = Vec::new();
            surplus = surplus.saturating_add(data.len());
            if surplus > SURPLUS_BYTES_MAX {
                return Err(NoBody::TooLarge);
            }
        } else {
            whole.extend_from_slice(data);
        }
    }
    if surplus > 0 { Err(NoBody::TooLarge) } else { Ok(whole) }
}

fn surplus_end() -> u64 {
    u64::try_from(BODY_BYTES_MAX + SURPLUS_BYTES_MAX).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_now(body: Body) -> Result<Vec<u8>, NoBody> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(read(body, Duration::from_secs(1)))
    }

    #[test]
    fn a_body_is_read_up_to_its_bound() {
        assert_eq!(read_now(Body::empty()), Ok(Vec::new()));
        assert_eq!(read_now(Body::from(vec![b' '; BODY_BYTES_MAX])).map(|body| body.len()), Ok(BODY_BYTES_MAX));
        for more in [1, SURPLUS_BYTES_MAX, SURPLUS_BYTES_MAX + 1] {
            assert_eq!(read_now(Body::from(vec![b' '; BODY_BYTES_MAX + more])), Err(NoBody::TooLarge), "{more}");
        }
    }
}
