//! The body of a batch request, read in place.

use crate::remoting::message::ITEM_FIXED_BYTES;

/// One item.
#[derive(Clone, Copy)]
pub(super) struct Item<'b> {
    pub flag: i32,
    pub body: &'b [u8],
    pub properties: &'b [u8],
}

/// Takes the first item off `rest`; `None` when it is malformed.
fn next_item<'b>(rest: &mut &'b [u8]) -> Option<Item<'b>> {
    let size = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
    let (item, behind) = rest.split_at_checked(size)?;
    let flag = i32::from_be_bytes(*item.get(12..)?.first_chunk::<4>()?);
    let (body_len, after) = item.get(16..)?.split_first_chunk::<4>()?;
    let (body, after) = after.split_at_checked(u32::from_be_bytes(*body_len) as usize)?;
    let (properties_len, properties) = after.split_first_chunk::<2>()?;
    let properties_len = usize::try_from(i16::from_be_bytes(*properties_len)).ok()?;
    (properties.len() == properties_len).then_some(())?;
    *rest = behind;
    Some(Item { flag, body, properties })
}

/// How large a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    pub items: usize,
    /// Bytes of all bodies and properties.
    pub content_bytes: usize,
}

/// Reads the whole batch; `None` when any item is malformed or there is none.
pub(super) fn measure(batch: &[u8]) -> Option<Measure> {
    let mut rest = batch;
    let mut items = 0usize;
    while !rest.is_empty() {
        next_item(&mut rest)?;
        items += 1;
    }
    (items > 0).then(|| Measure { items, content_bytes: batch.len() - items * ITEM_FIXED_BYTES })
}

/// The items of a batch; ends early where one is malformed, so measure first.
pub(super) fn items(batch: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut rest = batch;
    std::iter::from_fn(move || next_item(&mut rest))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::remoting::message::{batch_items, put_item_head, put_item_tail};

    fn written(bodies: &[Vec<u8>]) -> BytesMut {
        let mut out = BytesMut::new();
        for body in bodies {
            put_item_head(&mut out, body.len(), 3);
            out.extend_from_slice(body);
            put_item_tail(&mut out, b"k\x01v");
        }
        out
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..20)) {
            let batch = written(&bodies);
            let measure = measure(&batch).unwrap();
            prop_assert_eq!(measure.items, bodies.len());
            prop_assert_eq!(measure.content_bytes, bodies.iter().map(|body| body.len() + 3).sum::<usize>());
            for (item, body) in items(&batch).zip(&bodies) {
                prop_assert_eq!((item.body, item.properties), (&body[..], &b"k\x01v"[..]));
            }
        }

        #[test]
        fn the_other_reader_agrees_on_changed_batches(at in 0usize..70, with: u8, cut in 0usize..75) {
            let mut batch = written(&[b"0123456789".to_vec(), b"abcdef".to_vec()]).to_vec();
            let len = batch.len();
            batch[at % len] = with;
            batch.truncate(cut);
            let other = batch_items(batch.clone().into());
            prop_assert_eq!(measure(&batch).map_or(0, |measure| measure.items), other.map_or(0, |items| items.len()));
        }
    }
}
