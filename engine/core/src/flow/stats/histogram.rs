//! How far apart packets came: a histogram whose buckets never change.

use audyn_units::Nanos;

/// Upper edges of the buckets but the last, in nanoseconds: half octaves, laid so that AES67's packet times (125, 250,
/// 333 µs, 1 and 4 ms) lie in the middle of a bucket and not on an edge. What is longer goes into the last bucket.
pub const INTERVAL_EDGES: [i64; INTERVALS - 1] = [
    9_290,
    13_100,
    18_600,
    26_300,
    37_200,
    52_600,
    74_300,
    105_000,
    149_000,
    210_000,
    297_000,
    420_000,
    595_000,
    841_000,
    1_190_000,
    1_680_000,
    2_380_000,
    3_360_000,
    4_760_000,
    6_730_000,
    9_510_000,
    13_500_000,
    19_000_000,
    26_900_000,
    38_100_000,
    53_800_000,
    76_100_000,
    108_000_000,
    152_000_000,
    215_000_000,
    304_000_000,
    431_000_000,
    609_000_000,
    861_000_000,
    1_220_000_000,
];

/// How many buckets there are.
pub const INTERVALS: usize = 36;

/// Counts of intervals by length; bucket `n` holds those up to and with `INTERVAL_EDGES[n]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals(pub [u64; INTERVALS]);

impl Default for Intervals {
    fn default() -> Self {
        Self([0; INTERVALS])
    }
}

impl Intervals {
    /// The bucket that an interval belongs to.
    pub fn bucket(interval: Nanos) -> usize {
        INTERVAL_EDGES.partition_point(|edge| *edge < interval.0)
    }

    /// Each bucket's upper edge, none for the last, with its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Nanos>, u64)> {
        let edges = INTERVAL_EDGES.iter().map(|edge| Some(Nanos(*edge))).chain([None]);
        edges.zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_times_lie_inside_their_bucket() {
        assert!(INTERVAL_EDGES.is_sorted());
        for micros in [125, 250, 333, 1_000, 4_000] {
            let nanos = micros * 1_000;
            let bucket = Intervals::bucket(Nanos(nanos));
            for jitter in [-8, 8] {
                assert_eq!(Intervals::bucket(Nanos(nanos + nanos * jitter / 100)), bucket, "{micros} µs");
            }
        }
    }

    #[test]
    fn each_length_has_one_bucket() {
        assert_eq!(Intervals::bucket(Nanos(-5)), 0, "a clock that steps back is no reason to lose count");
        assert_eq!(Intervals::bucket(Nanos(9_290)), 0);
        assert_eq!(Intervals::bucket(Nanos(9_291)), 1);
        assert_eq!(Intervals::bucket(Nanos::from_secs(3_600)), INTERVALS - 1);
        let mut all = Intervals::default();
        all.0[Intervals::bucket(Nanos::from_millis(1))] += 1;
        let told: Vec<_> = all.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [(Some(Nanos(1_190_000)), 1)]);
        assert_eq!(all.buckets().last(), Some((None, 0)));
    }
}
