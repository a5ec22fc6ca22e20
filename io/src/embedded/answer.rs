//! Answers and the frames they become.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::groups::ConnectionId;
use crate::remoting::code::{request, response};
use crate::remoting::frame;
use crate::remoting::header::{FLAG_ONEWAY, FLAG_RESPONSE, JsonHeaderWriter};

/// A field of an answer.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Bytes),
    Number(i64),
}

/// What a request is answered with.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub code: i32,
    pub remark: Option<Cow<'static, str>>,
    pub fields: Vec<(&'static str, Value)>,
    pub body: Vec<Bytes>,
}

impl Answer {
    /// Done, without anything to tell.
    pub fn done() -> Self {
        Self::default()
    }

    /// Refused.
    pub fn refused(code: i32, remark: impl Into<Cow<'static, str>>) -> Self {
        Self { code, remark: Some(remark.into()), ..Self::default() }
    }

    /// Done; the body tells the rest.
    pub fn with_body(body: impl Into<Bytes>) -> Self {
        Self { body: vec![body.into()], ..Self::default() }
    }

    pub fn number(mut self, name: &'static str, value: i64) -> Self {
        self.fields.push((name, Value::Number(value)));
        self
    }

    pub fn text(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.fields.push((name, Value::Text(value.into())));
        self
    }

    /// A file could not be read or written: surely nothing was changed.
    pub fn unavailable(what: &str, error: &std::io::Error) -> Self {
        Self::refused(response::SERVICE_NOT_AVAILABLE, format!("{what}: {error}"))
    }
}

/// Bytes for one connection, to be sent in order.
#[derive(Debug)]
pub struct Outgoing {
    /// Whom for.
    pub to: ConnectionId,
    /// One frame, in parts.
    pub parts: Vec<Bytes>,
}

/// The frame of an answer to request `opaque`.
pub(super) fn answer_frame(to: ConnectionId, opaque: i32, answer: Answer) -> Outgoing {
    let mut head = BytesMut::with_capacity(320);
    let mark = frame::begin(&mut head);
    let mut writer = JsonHeaderWriter::open(&mut head, answer.code, opaque, FLAG_RESPONSE);
    if let Some(remark) = &answer.remark {
        writer.remark(remark);
    }
    for (name, value) in &answer.fields {
        match value {
            Value::Text(text) => writer.text(name, text),
            Value::Number(number) => writer.number(name, *number),
        }
    }
    writer.close();
    frame::finish(&mut head, mark, answer.body.iter().map(Bytes::len).sum());
    let mut parts = Vec::with_capacity(1 + answer.body.len());
    parts.push(head.freeze());
    parts.extend(answer.body);
    Outgoing { to, parts }
}

/// The frame that tells a client of a changed group.
pub(super) fn group_changed_frame(to: ConnectionId, group: &str) -> Outgoing {
    let mut head = BytesMut::with_capacity(256);
    let mark = frame::begin(&mut head);
    let mut writer = JsonHeaderWriter::open(&mut head, request::NOTIFY_CONSUMER_IDS_CHANGED, 0, FLAG_ONEWAY);
    writer.text("consumerGroup", group.as_bytes());
    writer.close();
    frame::finish(&mut head, mark, 0);
    Outgoing { to, parts: vec![head.freeze()] }
}
