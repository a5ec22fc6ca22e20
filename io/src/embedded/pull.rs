//! Pulls: at once, or when the message comes that is waited for.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use super::answer::{Answer, answer_frame};
use super::broker::{Broker, Caller, ConnectionId};
use super::store::{Taken, Wanted, split_message};
use super::topics::{Topic, perm};
use crate::remoting::code::response;
use crate::remoting::header::{Fields, Header};
use crate::remoting::java_hash::java_hash;
use crate::remoting::properties::{self, TAGS};

/// Bits of a pull's `sysFlag`.
mod sys_flag {
    pub const COMMIT_OFFSET: i64 = 1;
    pub const SUSPEND: i64 = 2;
    pub const SUBSCRIPTION: i64 = 4;
}

/// Longest wait of one pull, in ms.
const SUSPEND_MS_MAX: u64 = 60_000;
/// Most waiting pulls.
const WAITING_MAX: usize = 65_536;
/// Answers' worth of messages that a filter looks through before it tells how far it came.
const FILTER_ROUNDS_MAX: usize = 16;
/// Bytes of a message up to and with its store host, reconsume times and transaction offset.
const HEAD_BYTES: usize = 84;

/// One pull, understood.
pub(super) struct Pull {
    connection: ConnectionId,
    opaque: i32,
    oneway: bool,
    group: String,
    topic: String,
    queue: u32,
    offset: i64,
    messages_max: usize,
    bytes_max: usize,
    filter: Filter,
}

/// Which tags are wanted, by their hashes: as an Apache broker does it, so that clients must compare the tags themselves.
enum Filter {
    All,
    Tags(Vec<i32>),
}

impl Filter {
    fn parse(expression: &str) -> Self {
        let tags: Vec<&str> = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty()).collect();
        let all = tags.is_empty() || tags.contains(&"*");
        if all { Self::All } else { Self::Tags(tags.into_iter().map(java_hash).collect()) }
    }

    fn takes(&self, message: &[u8]) -> bool {
        let Self::Tags(hashes) = self else { return true };
        tag_of(message).is_some_and(|tag| hashes.contains(&java_hash(&String::from_utf8_lossy(tag))))
    }
}

/// The tag of a stored message.
fn tag_of(message: &[u8]) -> Option<&[u8]> {
    let (body_len, rest) = message.get(HEAD_BYTES..)?.split_first_chunk::<4>()?;
    let rest = rest.get(u32::from_be_bytes(*body_len) as usize..)?;
    let (topic_len, rest) = rest.split_first()?;
    let block = rest.get(usize::from(*topic_len)..)?.get(2..)?;
    properties::find(block, TAGS)
}

/// Pulls that wait for a message, by queue.
#[derive(Default)]
pub(super) struct Waiting {
    by_queue: HashMap<(String, u32), Vec<(u64, Pull)>>,
    count: usize,
}

impl Waiting {
    fn add(&mut self, deadline_ms: u64, pull: Pull) {
        self.count += 1;
        self.by_queue.entry((pull.topic.clone(), pull.queue)).or_default().push((deadline_ms, pull));
    }

    fn take(&mut self, topic: &str, queue: u32) -> Vec<(u64, Pull)> {
        if self.count == 0 {
            return Vec::new();
        }
        let pulls = self.by_queue.remove(&(topic.to_owned(), queue)).unwrap_or_default();
        self.count = self.count.saturating_sub(pulls.len());
        pulls
    }

    /// Takes those whose deadline has come.
    pub fn take_overdue(&mut self, now_ms: u64) -> Vec<Pull> {
        self.take_if(|deadline_ms, _| deadline_ms <= now_ms)
    }

    /// Forgets those of a closed connection.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        drop(self.take_if(|_, pull| pull.connection == connection));
    }

    /// Takes those of a topic.
    pub fn take_topic(&mut self, topic: &str) -> Vec<Pull> {
        self.take_if(|_, pull| pull.topic == topic)
    }

    fn take_if(&mut self, wanted: impl Fn(u64, &Pull) -> bool) -> Vec<Pull> {
        if self.count == 0 {
            return Vec::new();
        }
        let mut taken = Vec::new();
        self.by_queue.retain(|_, pulls| {
            taken.extend(pulls.extract_if(.., |(deadline_ms, pull)| wanted(*deadline_ms, pull)).map(|(_, pull)| pull));
            !pulls.is_empty()
        });
        self.count = self.count.saturating_sub(taken.len());
        taken
    }
}

/// What a pull finds.
enum Outcome {
    Answer(Answer),
    /// Nothing yet: the answer to give when nothing comes.
    Nothing(Answer),
}

impl Broker {
    pub(super) fn pull(&mut self, caller: Caller, header: &Header) -> Option<Answer> {
        let pull = match self.understand_pull(caller, header) {
            Ok(pull) => pull,
            Err(refusal) => return Some(refusal),
        };
        let fields = &header.fields;
        let flags = fields.number("sysFlag").unwrap_or(0);
        let answer = match self.look(&pull) {
            Outcome::Answer(answer) => answer,
            Outcome::Nothing(answer) => {
                let suspend_ms = fields.number("suspendTimeoutMillis").and_then(|ms| u64::try_from(ms).ok());
                let suspend_ms = suspend_ms.unwrap_or(0).min(SUSPEND_MS_MAX);
                let may_wait = flags & sys_flag::SUSPEND != 0 && suspend_ms > 0 && self.waiting.count < WAITING_MAX;
                if may_wait {
                    self.commit_with_pull(flags, &pull, fields);
                    self.waiting.add(caller.now.mono_ms.saturating_add(suspend_ms), pull);
                    return None;
                }
                answer
            }
        };
        self.commit_with_pull(flags, &pull, fields);
        Some(answer)
    }

    fn commit_with_pull(&mut self, flags: i64, pull: &Pull, fields: &Fields) {
        let Some(offset) = fields.number("commitOffset").filter(|offset| *offset >= 0) else { return };
        if flags & sys_flag::COMMIT_OFFSET == 0 {
            return;
        }
        let group = self.groups.get_mut(&pull.group);
        if group.is_some_and(|group| group.commit(&pull.topic, pull.queue, offset)) {
            self.note_offsets_changed();
        }
    }

    fn understand_pull(&mut self, caller: Caller, header: &Header) -> Result<Pull, Answer> {
        let fields = &header.fields;
        let invalid = |what: String| Answer::refused(response::INVALID_PARAMETER, what);
        let group = fields.get("consumerGroup").unwrap_or_default();
        let name = fields.get("topic").unwrap_or_default();
        let Some(topic) = self.topics.get(name) else {
            return Err(Answer::refused(response::TOPIC_NOT_EXIST, format!("there is no topic {name}")));
        };
        if topic.settings.perm & perm::READ == 0 {
            return Err(Answer::refused(response::NO_PERMISSION, format!("topic {name} may not be read")));
        }
        let queue = fields.number("queueId").and_then(|queue| u32::try_from(queue).ok());
        let queue = queue.filter(|queue| *queue < topic.settings.queues());
        let queue =
            queue.ok_or_else(|| invalid(format!("topic {name} has queues 0 to {}", topic.settings.queues() - 1)))?;
        let offset = fields.number("queueOffset").ok_or_else(|| invalid("the offset is missing".to_owned()))?;
        let asked = fields.number("maxMsgNums").and_then(|count| usize::try_from(count).ok()).unwrap_or(32);
        let Some((known, _)) = self.groups.known_or_new(group) else {
            return Err(Answer::refused(
                response::SYSTEM_ERROR,
                "the group's name can't be one, or there are too many",
            ));
        };
        let flags = fields.number("sysFlag").unwrap_or(0);
        let filter = if flags & sys_flag::SUBSCRIPTION != 0 {
            let kind = fields.get("expressionType").unwrap_or("TAG");
            if !kind.is_empty() && kind != "TAG" {
                return Err(Answer::refused(response::SYSTEM_ERROR, "the embedded broker filters by tag only"));
            }
            Filter::parse(fields.get("subscription").unwrap_or("*"))
        } else {
            let Some(subscription) = known.subscription(name) else {
                let what = format!("no member of group {group} has told that it reads {name}");
                return Err(Answer::refused(response::SUBSCRIPTION_NOT_EXIST, what));
            };
            if subscription.version < fields.number("subVersion").unwrap_or(0) {
                return Err(Answer::refused(response::SUBSCRIPTION_NOT_LATEST, "the subscription known is older"));
            }
            Filter::parse(&subscription.expression)
        };
        Ok(Pull {
            connection: caller.connection,
            opaque: header.opaque,
            oneway: header.is_oneway(),
            group: group.to_owned(),
            topic: name.to_owned(),
            queue,
            offset,
            messages_max: asked.clamp(1, self.limits.pull_messages_max.max(1)),
            bytes_max: self.limits.pull_bytes_max,
            filter,
        })
    }

    fn look(&mut self, pull: &Pull) -> Outcome {
        let reset = self.groups.get_mut(&pull.group).filter(|group| !group.resets.is_empty());
        let reset = reset.and_then(|group| group.resets.remove(&(pull.topic.clone(), pull.queue)));
        let Some(topic) = self.topics.get(&pull.topic) else {
            return Outcome::Answer(Answer::refused(response::TOPIC_NOT_EXIST, "the topic is gone"));
        };
        let max = topic.queue_end(pull.queue).cast_signed();
        let ends = Ends { max, sys_flag: topic.settings.sys_flag };
        if let Some(reset) = reset {
            return Outcome::Answer(ends.answer(response::PULL_OFFSET_MOVED, reset, "OFFSET_RESET"));
        }
        if pull.offset == max {
            return Outcome::Nothing(ends.answer(response::PULL_NOT_FOUND, max, "OFFSET_OVERFLOW_ONE"));
        }
        let offset = match u64::try_from(pull.offset) {
            Ok(offset) if pull.offset < max => offset,
            Ok(_) => return Outcome::Answer(ends.answer(response::PULL_OFFSET_MOVED, max, "OFFSET_OVERFLOW_BADLY")),
            Err(_) => return Outcome::Answer(ends.answer(response::PULL_OFFSET_MOVED, 0, "OFFSET_TOO_SMALL")),
        };
        match self.collect(topic, pull, offset) {
            Err(error) => Outcome::Answer(Answer::unavailable("the commit log could not be read", &error)),
            Ok((Taken { pieces, count: 0 }, next)) if pieces.is_empty() => {
                Outcome::Answer(ends.answer(response::PULL_RETRY_IMMEDIATELY, next.cast_signed(), "NO_MATCHED_MESSAGE"))
            }
            Ok((taken, next)) => {
                self.delivered = self.delivered.saturating_add(taken.count as u64);
                let mut answer = ends.answer(response::SUCCESS, next.cast_signed(), "FOUND");
                answer.body = taken.pieces;
                Outcome::Answer(answer)
            }
        }
    }

    /// The messages from `offset` on that the pull wants, and the offset to go on at.
    fn collect(&self, topic: &Topic, pull: &Pull, offset: u64) -> std::io::Result<(Taken, u64)> {
        let Some(queue) = topic.queue(pull.queue) else { return Ok((Taken::default(), offset)) };
        let mut next = offset;
        for _ in 0..FILTER_ROUNDS_MAX {
            let wanted = Wanted { offset: next, messages_max: pull.messages_max, bytes_max: pull.bytes_max };
            let taken = self.store.take(queue, wanted)?;
            next += taken.count as u64;
            let matching = match pull.filter {
                Filter::All => taken,
                Filter::Tags(_) => matching(taken, &pull.filter),
            };
            if matching.count > 0 || next >= queue.next() {
                return Ok((matching, next));
            }
        }
        Ok((Taken::default(), next))
    }

    /// Answers the pulls that wait for messages of a queue.
    pub(super) fn wake_pulls(&mut self, topic: &str, queue: u32) {
        for (deadline_ms, pull) in self.waiting.take(topic, queue) {
            match self.look(&pull) {
                Outcome::Answer(answer) => self.answer_pull(&pull, answer),
                Outcome::Nothing(_) => self.waiting.add(deadline_ms, pull),
            }
        }
    }

    /// Answers a pull that has waited long enough.
    pub(super) fn finish_pull(&mut self, pull: Pull) {
        match self.look(&pull) {
            Outcome::Answer(answer) | Outcome::Nothing(answer) => self.answer_pull(&pull, answer),
        }
    }

    fn answer_pull(&mut self, pull: &Pull, answer: Answer) {
        if !pull.oneway {
            self.post(answer_frame(pull.connection, pull.opaque, answer));
        }
    }
}

/// The ends of a queue, told in every answer to a pull.
struct Ends {
    max: i64,
    sys_flag: i64,
}

impl Ends {
    fn answer(&self, code: i32, next: i64, remark: &'static str) -> Answer {
        let mut answer = Answer { code, remark: Some(Cow::Borrowed(remark)), ..Answer::default() };
        answer.fields.reserve(6);
        answer
            .number("nextBeginOffset", next)
            .number("minOffset", 0)
            .number("maxOffset", self.max)
            .number("suggestWhichBrokerId", 0)
            .number("topicSysFlag", self.sys_flag)
            .number("groupSysFlag", 0)
    }
}

/// The messages that a filter takes, as slices; neighbours stay together.
fn matching(taken: Taken, filter: &Filter) -> Taken {
    let mut kept = Taken::default();
    for mut piece in taken.pieces {
        let mut run: Option<(Bytes, usize)> = None;
        loop {
            let rest = piece.clone();
            let message = split_message(&mut piece);
            match message {
                Some(message) if filter.takes(&message) => {
                    kept.count += 1;
                    match &mut run {
                        Some((_, len)) => *len += message.len(),
                        None => run = Some((rest, message.len())),
                    }
                }
                other => {
                    kept.pieces.extend(run.take().map(|(start, len)| start.slice(..len)));
                    if other.is_none() {
                        break;
                    }
                }
            }
        }
    }
    kept
}
