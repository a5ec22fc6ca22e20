//! What the pages tell of a histogram: counts up to fixed bounds, the sum, and Prometheus' sparse buckets.

use hdrhistogram::Histogram;

/// Upper bounds of the classic buckets, in microseconds: 10 µs to 60 s.
pub const BOUNDS_US: [u64; 21] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Sparse buckets grow by 2^(1/8), which is 9 %.
pub const SCHEMA: i32 = 3;

/// What is below half a microsecond is 0: nothing finer is measured.
pub const ZERO_THRESHOLD_SECONDS: f64 = 5e-7;

/// Microseconds as seconds.
#[must_use]
pub fn seconds(micros: u64) -> f64 {
    // A time that is longer than 2^53 µs (285 years) may be a little off.
    micros as f64 / 1e6
}

/// How many values are at most as large as each of [`BOUNDS_US`]. A value is placed by the lower end of its cell, which is exact
/// for whole milliseconds of up to two digits, as records' times are.
#[must_use]
pub fn cumulative(micros: &Histogram<u64>) -> [u64; BOUNDS_US.len()] {
    let mut counts = [0_u64; BOUNDS_US.len()];
    for cell in micros.iter_recorded() {
        let value = micros.lowest_equivalent(cell.value_iterated_to());
        let at = BOUNDS_US.partition_point(|bound| *bound < value);
        if let Some(count) = counts.get_mut(at) {
            *count = count.saturating_add(cell.count_at_value());
        }
    }
    let mut sum = 0_u64;
    for count in &mut counts {
        sum = sum.saturating_add(*count);
        *count = sum;
    }
    counts
}

/// The sum of all values in seconds, as near as the cells tell.
#[must_use]
pub fn sum_seconds(micros: &Histogram<u64>) -> f64 {
    let cells = micros.iter_recorded();
    cells.map(|cell| seconds(micros.median_equivalent(cell.value_iterated_to())) * cell.count_at_value() as f64).sum()
}

/// Exponential buckets: the counts of neighbouring indexes. A value `v` in seconds has the index `ceil(log2(v) × 2^SCHEMA)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    /// Values below [`ZERO_THRESHOLD_SECONDS`].
    pub zero: u64,
    /// Index and count of each bucket that has values, in order.
    pub buckets: Vec<(i32, u64)>,
}

/// The exponential buckets of a histogram.
#[must_use]
pub fn sparse(micros: &Histogram<u64>) -> Sparse {
    let mut sparse = Sparse::default();
    for cell in micros.iter_recorded() {
        let count = cell.count_at_value();
        let value = seconds(micros.lowest_equivalent(cell.value_iterated_to()));
        if value <= ZERO_THRESHOLD_SECONDS {
            sparse.zero = sparse.zero.saturating_add(count);
            continue;
        }
        // Of at most 64 × 8 indexes: in range whatever the value.
        let index = (value.log2() * f64::from(1 << SCHEMA)).ceil() as i32;
        match sparse.buckets.last_mut().filter(|(last, _)| *last == index) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => sparse.buckets.push((index, count)),
        }
    }
    sparse
}

/// The upper bound of the exponential bucket of that index, in seconds.
#[must_use]
pub fn upper_bound(index: i32) -> f64 {
    (f64::from(index) / f64::from(1 << SCHEMA)).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram<u64> {
        let mut micros = Histogram::new(2).unwrap();
        values.iter().for_each(|value| micros.record(*value).unwrap());
        micros
    }

    #[test]
    fn bounds_hold_the_values_up_to_them() {
        let counts = cumulative(&of(&[0, 10, 11, 1_000, 1_000, 1_100, 61_000_000]));
        let at = |bound: u64| counts[BOUNDS_US.iter().position(|one| *one == bound).unwrap()];
        assert_eq!([at(10), at(25), at(500), at(1_000), at(2_500), at(60_000_000)], [2, 3, 3, 5, 6, 6]);
        assert_eq!(cumulative(&of(&[])), [0; BOUNDS_US.len()]);
    }

    proptest! {
        #[test]
        fn both_forms_tell_what_was_recorded(values in proptest::collection::vec(0_u64..200_000_000, 0..200)) {
            let micros = of(&values);
            let counts = cumulative(&micros);
            for (bound, count) in BOUNDS_US.iter().zip(counts) {
                // A cell of two digits may reach 1 % over the bound.
                let surely = values.iter().filter(|value| **value <= *bound).count() as u64;
                let perhaps = values.iter().filter(|value| **value as f64 <= *bound as f64 * 1.01 + 1.0).count() as u64;
                prop_assert!((surely..=perhaps).contains(&count), "{bound}: {count}, expected {surely} to {perhaps}");
            }
            let sum: u64 = values.iter().sum();
            prop_assert!((sum_seconds(&micros) - seconds(sum)).abs() <= seconds(sum) * 0.01 + 1e-6);
            let sparse = sparse(&micros);
            let total: u64 = sparse.buckets.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(total + sparse.zero, values.len() as u64);
            prop_assert!(sparse.buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }

        #[test]
        fn a_sparse_bucket_holds_its_value(value in 1_u64..100_000_000_000) {
            let sparse = sparse(&of(&[value]));
            let index = sparse.buckets[0].0;
            prop_assert!(seconds(value) <= upper_bound(index) * 1.011);
            prop_assert!(seconds(value) >= upper_bound(index - 1) * 0.999_999);
        }
    }
}
