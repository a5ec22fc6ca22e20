//! Which member of a group reads which queues: the Java client's average allocation, so that a group can be shared.

use std::cmp::Ordering;

use rmqc_core::id::MessageQueue;

/// Order of Java's `String.compareTo`: by UTF-16 code units.
fn java_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// The range of indexes (into the sorted queues) of one member among `members`, or nothing if it is not among them.
fn share(index: usize, members: usize, queues: usize) -> std::ops::Range<usize> {
    let rest = queues.checked_rem(members).unwrap_or(0);
    let even = queues.checked_div(members).unwrap_or(0);
    let size = if index < rest { even.saturating_add(1) } else { even };
    let start = index.saturating_mul(even).saturating_add(index.min(rest));
    start.min(queues)..start.saturating_add(size).min(queues)
}

/// The queues of member `me`. Every member computes this for itself, from the same lists in any order.
#[must_use]
pub fn allocate(me: &str, members: &[String], queues: &[MessageQueue]) -> Vec<MessageQueue> {
    let mut members: Vec<&str> = members.iter().map(String::as_str).collect();
    members.sort_by(|a, b| java_order(a, b));
    members.dedup();
    let Some(index) = members.iter().position(|member| *member == me) else { return Vec::new() };
    let mut queues = queues.to_vec();
    queues.sort_by(|a, b| {
        java_order(&a.topic, &b.topic)
            .then_with(|| java_order(&a.broker, &b.broker))
            .then_with(|| a.queue_id.cmp(&b.queue_id))
    });
    queues.get(share(index, members.len(), queues.len())).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn queues(count: i32) -> Vec<MessageQueue> {
        (0..count)
            .rev()
            .map(|queue_id| MessageQueue { topic: Arc::from("t"), broker: Arc::from("b"), queue_id })
            .collect()
    }

    fn ids(me: &str, members: &[&str], count: i32) -> Vec<i32> {
        let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
        allocate(me, &members, &queues(count)).iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn shares_as_the_java_client_gives_them() {
        assert_eq!(ids("a", &["b", "a", "c"], 8), [0, 1, 2]);
        assert_eq!(ids("b", &["b", "a", "c"], 8), [3, 4, 5]);
        assert_eq!(ids("c", &["b", "a", "c"], 8), [6, 7]);
        assert_eq!(ids("c", &["a", "b", "c"], 2), [0; 0]);
        assert_eq!(ids("x", &["a"], 2), [0; 0]);
    }

    proptest! {
        #[test]
        fn every_queue_has_exactly_one_reader(members in 1usize..9, count in 0i32..40) {
            let names: Vec<String> = (0..members).map(|n| format!("10.0.0.{n}@x")).collect();
            let mut all: Vec<i32> = names.iter().flat_map(|me| allocate(me, &names, &queues(count))).map(|q| q.queue_id).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
