//! The messages of a pull answer, found but left where they lie.
//!
//! A reader looks at each message once, to know that the answer is whole and what to keep of it; whoever needs a message
//! takes handles of the parts that he needs. What is passed over costs no handle, and what went wrong with a part that was
//! taken can be told with the whole message, since the answer is still there.

use bytes::{Bytes, BytesMut};

use super::message::{Message, MessageError, Parts, is_plain};

/// Where one message lies in its answer, and what is told of it without looking there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageSpan {
    /// Offset in its queue.
    pub queue_offset: i64,
    /// When the producer made it, in ms since 1970.
    pub born_ms: i64,
    /// When the broker stored it, in ms since 1970.
    pub store_ms: i64,
    /// Queue id.
    pub queue_id: i32,
    /// Whether the body is as the producer gave it: not compressed.
    pub is_plain: bool,
    /// Where the message begins, its body begins, and the message ends; in bytes from the answer's begin.
    at: u32,
    body_at: u32,
    end: u32,
    /// Bytes of the body as stored.
    body_len: u32,
    /// Bytes of the properties, which lie at the end.
    properties_len: u16,
}

impl MessageSpan {
    /// The span of a message that begins at `at`, in an answer of less than 4 GiB: nothing in it needs more than 32 bits.
    #[inline(always)]
    fn of(at: usize, parts: &Parts<'_>) -> Self {
        Self {
            queue_offset: parts.queue_offset,
            born_ms: parts.born_ms,
            store_ms: parts.store_ms,
            queue_id: parts.queue_id,
            is_plain: is_plain(parts.sys_flag, parts.body.len()),
            at: at as u32,
            body_at: at.saturating_add(parts.body_at) as u32,
            end: at.saturating_add(parts.size) as u32,
            body_len: parts.body.len() as u32,
            properties_len: parts.properties.len() as u16,
        }
    }

    /// Bytes of the body as stored.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body_len as usize
    }

    /// A handle of the body as stored.
    #[must_use]
    pub fn body(&self, answer: &Bytes) -> Bytes {
        part(answer, self.body_at as usize, self.body_len())
    }

    /// The properties block where it lies.
    #[must_use]
    pub fn properties_in<'a>(&self, answer: &'a [u8]) -> &'a [u8] {
        answer.get(self.properties_at()..self.end as usize).unwrap_or_default()
    }

    /// A handle of the properties block.
    #[must_use]
    pub fn properties(&self, answer: &Bytes) -> Bytes {
        part(answer, self.properties_at(), usize::from(self.properties_len))
    }

    /// Where the body ends, and the length of the topic's name stood.
    #[inline]
    fn body_end(&self) -> usize {
        (self.body_at as usize).saturating_add(self.body_len())
    }

    /// Where the properties begin.
    #[inline]
    fn properties_at(&self) -> usize {
        (self.end as usize).saturating_sub(usize::from(self.properties_len))
    }

    /// The whole message.
    ///
    /// # Errors
    /// When the answer is another one.
    pub fn message(&self, answer: &Bytes) -> Result<Message, MessageError> {
        let bytes = answer.get(self.at as usize..self.end as usize).ok_or(MessageError::Cut("answer"))?;
        Ok(Parts::read_again(bytes, self.properties_len.into())?.message(answer))
    }
}

/// A handle of a part; nothing if it leads outside, as it does only in another answer.
#[inline]
fn part(answer: &Bytes, at: usize, len: usize) -> Bytes {
    let end = at.saturating_add(len);
    if end > answer.len() { Bytes::new() } else { answer.slice(at..end) }
}

/// A pull answer's body, and where those of its messages lie that were wanted, in their order.
#[derive(Clone, Debug, Default)]
pub struct PulledMessages {
    body: Bytes,
    spans: Vec<MessageSpan>,
}

impl PulledMessages {
    /// Finds the messages of an answer's body. Each is shown to `wants` with its properties, which says whether it is kept;
    /// `expected` of them need no more room later.
    ///
    /// # Errors
    /// When the body is no answer's: nothing of it is to be trusted then.
    pub fn read(
        body: impl AsRef<[u8]> + Into<Bytes>,
        expected: usize,
        wants: impl FnMut(&MessageSpan, &[u8]) -> bool,
    ) -> Result<Self, MessageError> {
        let spans = spans(body.as_ref(), expected, wants)?;
        Ok(Self { body: body.into(), spans })
    }

    /// The same; then a byte is written behind the body of each that is kept, where the length of its topic's name was.
    /// Whoever is to write bodies, each with this byte, has both in one piece of memory.
    ///
    /// # Errors
    /// As above.
    pub fn read_ended(
        mut body: BytesMut,
        expected: usize,
        value_end: u8,
        wants: impl FnMut(&MessageSpan, &[u8]) -> bool,
    ) -> Result<Self, MessageError> {
        let spans = spans(&body, expected, wants)?;
        for span in &spans {
            if let Some(behind) = body.get_mut(span.body_end()) {
                *behind = value_end;
            }
        }
        Ok(Self { body: body.freeze(), spans })
    }

    /// Where its messages lie.
    #[must_use]
    pub fn spans(&self) -> &[MessageSpan] {
        &self.spans
    }

    /// The bytes of which its messages are parts.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The messages, each with handles of its own.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.spans.iter().filter_map(|span| span.message(&self.body).ok()).collect()
    }

    /// Takes off the messages behind the first `count`.
    #[must_use]
    pub fn split_off(&mut self, count: usize) -> Self {
        Self { body: self.body.clone(), spans: self.spans.split_off(count.min(self.spans.len())) }
    }
}

/// Where the messages of an answer's body lie that are wanted.
fn spans(
    body: &[u8],
    expected: usize,
    mut wants: impl FnMut(&MessageSpan, &[u8]) -> bool,
) -> Result<Vec<MessageSpan>, MessageError> {
    if u32::try_from(body.len()).is_err() {
        return Err(MessageError::Cut("answer"));
    }
    let mut spans = Vec::with_capacity(expected);
    let mut at = 0usize;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let parts = Parts::read(rest)?;
        let span = MessageSpan::of(at, &parts);
        at = at.saturating_add(parts.size);
        if wants(&span, parts.properties) {
            spans.push(span);
        }
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::message::{MessageParts, messages, put_message};
    use super::*;

    fn answer(bodies: &[(&[u8], &[u8], u32)]) -> Bytes {
        let mut out = BytesMut::new();
        for (offset, (body, properties, sys_flag)) in (0..).zip(bodies) {
            let parts = MessageParts {
                queue_id: 3,
                queue_offset: offset,
                physical_offset: 1234 + offset,
                flag: 5,
                sys_flag: *sys_flag,
                born_ms: 11,
                store_ms: 12 + offset,
                born_host: [127, 0, 0, 1, 0, 0, 0, 9],
                store_host: [127, 0, 0, 1, 0, 0, 0x2a, 0x9f],
                reconsume_times: 2,
                body,
                topic: b"topic",
                properties,
            };
            put_message(&mut out, &parts);
        }
        out.freeze()
    }

    fn all(body: Bytes) -> Result<PulledMessages, MessageError> {
        PulledMessages::read(body, 0, |_, _| true)
    }

    #[test]
    fn spans_tell_what_the_messages_tell_without_a_copy() {
        let body = answer(&[(b"first", b"a\x011\x02", 0), (b"", b"", 1), (b"zip", b"b\x01", 1)]);
        let found = all(body.clone()).unwrap();
        let read: Vec<_> = messages(body.clone()).map(Result::unwrap).collect();
        assert_eq!(found.messages(), read);
        for (span, message) in found.spans().iter().zip(&read) {
            let told = (span.queue_id, span.queue_offset, span.born_ms, span.store_ms, span.is_plain);
            let is_plain = message.is_plain();
            assert_eq!(told, (message.queue_id, message.queue_offset, message.born_ms, message.store_ms, is_plain));
            assert_eq!((span.body(&body), span.properties(&body)), (message.body.clone(), message.properties.clone()));
            assert_eq!(span.properties_in(&body), message.properties);
            assert_eq!(span.body_len(), message.body.len());
        }
        assert_eq!(found.spans()[0].body(&body).as_ptr(), read[0].body.as_ptr());
        assert_eq!(found.spans().iter().map(|span| span.is_plain).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn only_what_is_wanted_is_kept_and_parts_stay_whole() {
        let body = answer(&[(b"0", b"n", 0), (b"1", b"y", 0), (b"2", b"y", 0), (b"3", b"y", 0)]);
        let mut found = PulledMessages::read(body.clone(), 4, |_, properties| properties == b"y").unwrap();
        let rest = found.split_off(1);
        let bodies =
            |answer: &PulledMessages| answer.messages().into_iter().map(|message| message.body).collect::<Vec<_>>();
        assert_eq!((bodies(&found), bodies(&rest)), (vec![Bytes::from("1")], vec![Bytes::from("2"), Bytes::from("3")]));
        assert!(found.split_off(7).spans().is_empty());
    }

    #[test]
    fn the_byte_that_ends_values_stands_behind_those_that_are_kept() {
        // With a name as long as the byte is large, nothing would be seen.
        let body = BytesMut::from(&answer(&[(b"first", b"y", 0), (b"second", b"n", 0), (b"", b"y", 0)])[..]);
        let (place, before) = (body.as_ptr(), body.clone());
        let found = PulledMessages::read_ended(body, 0, b'\n', |_, properties| properties == b"y").unwrap();
        assert_eq!(found.body().as_ptr(), place, "it was copied");
        let ends: Vec<_> = found.spans().iter().map(|span| (span.body_at as usize, span.body_end())).collect();
        let mut expected = before;
        ends.iter().for_each(|(_, end)| expected[*end] = b'\n');
        assert_eq!(found.body()[..], expected[..]);
        let [(first_at, first_end), (_, third_end)] = ends[..] else { panic!("{ends:?}") };
        assert_eq!((&found.body()[first_at..=first_end], found.body()[third_end]), (&b"first\n"[..], b'\n'));
    }

    #[test]
    fn a_span_of_another_answer_leads_nowhere() {
        let span = all(answer(&[(b"a long body", b"a\x011\x02", 0)])).unwrap().spans()[0];
        let other = Bytes::from_static(b"short");
        assert!(
            span.body(&other).is_empty()
                && span.properties(&other).is_empty()
                && span.properties_in(&other).is_empty()
                && span.message(&other).is_err()
        );
    }

    proptest! {
        #[test]
        fn foreign_answers_are_read_as_messages_are(cut in 0usize..400, at in 0usize..300, with: u8) {
            let whole = answer(&[(b"body of a message", b"KEYS\x01k\x02", 0), (b"", b"", 1), (b"x", b"y", 0)]);
            let mut changed = whole.to_vec();
            let place = at % changed.len();
            changed[place] = with;
            for body in [Bytes::from(changed), whole.slice(..cut.min(whole.len()))] {
                let read: Result<Vec<_>, _> = messages(body.clone()).collect();
                let ended = PulledMessages::read_ended(BytesMut::from(&body[..]), 0, b'\n', |_, _| true);
                prop_assert_eq!(ended.map(|found| found.messages()), read.clone());
                prop_assert_eq!(all(body).map(|found| found.messages()), read);
            }
        }
    }
}
