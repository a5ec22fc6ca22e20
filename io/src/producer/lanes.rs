//! The open batches of a producer, found without a search: by topic, then by queue.

use super::TopicIndex;

/// Which open batch a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub topic: TopicIndex,
    /// Index into the route's write queues; none for unkeyed records, whose queue is chosen batch by batch.
    pub queue: Option<usize>,
}

impl Lane {
    fn place(self) -> usize {
        self.queue.map_or(0, |queue| queue.saturating_add(1))
    }
}

/// Open batches, at most one a lane.
pub(super) struct Lanes<B> {
    /// By topic, then by place.
    batches: Vec<Vec<Option<B>>>,
    /// Lanes that have one, in the order in which they got it.
    open: Vec<Lane>,
}

impl<B> Default for Lanes<B> {
    fn default() -> Self {
        Self { batches: Vec::new(), open: Vec::new() }
    }
}

impl<B> Lanes<B> {
    /// The lane's batch; a new one if it has none.
    pub fn batch(&mut self, lane: Lane, new: impl FnOnce() -> B) -> &mut B {
        let (topic, place) = (lane.topic.0, lane.place());
        if self.batches.len() <= topic {
            self.batches.resize_with(topic.saturating_add(1), Vec::new);
        }
        #[expect(clippy::indexing_slicing, reason = "made long enough the line before")]
        let of_topic = &mut self.batches[topic];
        if of_topic.len() <= place {
            of_topic.resize_with(place.saturating_add(1), || None);
        }
        #[expect(clippy::indexing_slicing, reason = "made long enough the line before")]
        let batch = &mut of_topic[place];
        batch.get_or_insert_with(|| {
            self.open.push(lane);
            new()
        })
    }

    /// Takes every batch out, the oldest first.
    pub fn take_all(&mut self) -> Vec<(Lane, B)> {
        let lanes = std::mem::take(&mut self.open);
        let batches = &mut self.batches;
        let take = |lane: Lane| {
            let batch = batches.get_mut(lane.topic.0)?.get_mut(lane.place())?.take()?;
            Some((lane, batch))
        };
        lanes.into_iter().filter_map(take).collect()
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_found_again_and_leave_in_their_order() {
        let lane = |topic, queue| Lane { topic: TopicIndex(topic), queue };
        let mut lanes = Lanes::<Vec<u8>>::default();
        assert!(lanes.is_empty() && lanes.take_all().is_empty());
        for (number, lane) in (0..).zip([lane(1, Some(3)), lane(0, None), lane(1, None), lane(1, Some(3))]) {
            lanes.batch(lane, Vec::new).push(number);
        }
        let order = [(lane(1, Some(3)), vec![0, 3]), (lane(0, None), vec![1]), (lane(1, None), vec![2])];
        assert_eq!(lanes.take_all(), order);
        assert!(lanes.is_empty());
    }
}
