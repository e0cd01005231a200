//! How long the room lasts.

/// A recorder that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// Bytes a second of all its formats together.
    pub bytes_per_second: u64,
    /// Seconds after which it takes no more room, because its own limits then delete as much as it writes; none if they never do.
    pub stops_after: Option<u64>,
}

/// Seconds until `free` bytes are written; none if that is not to be foreseen.
#[must_use]
pub fn seconds_left(free: u64, growing: &[Growth]) -> Option<u64> {
    let mut growing: Vec<Growth> =
        growing.iter().copied().filter(|growth| growth.bytes_per_second > 0).collect();
    // Those that stop first come first; those that never do are last.
    growing.sort_by_key(|growth| growth.stops_after.unwrap_or(u64::MAX));
    let (mut free, mut seconds) = (free, 0_u64);
    for at in 0..growing.len() {
        let rate: u64 =
            growing[at..].iter().fold(0, |sum, growth| sum.saturating_add(growth.bytes_per_second));
        let lasts = free / rate;
        let Some(until) = growing[at].stops_after else { return Some(seconds.saturating_add(lasts)) };
        let span = until.saturating_sub(seconds);
        if lasts < span {
            return Some(seconds.saturating_add(lasts));
        }
        free -= rate * span;
        seconds += span;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_lasts_as_long_as_it_is_written() {
        let grows = |bytes_per_second, stops_after| Growth { bytes_per_second, stops_after };
        for (free, growing, left) in [
            (1_000, vec![], None),
            (1_000, vec![grows(0, None)], None),
            (1_000, vec![grows(10, None)], Some(100)),
            (0, vec![grows(10, None)], Some(0)),
            (1_000, vec![grows(10, None), grows(30, None)], Some(25)),
            // The first is full by its own limit after 50 s, having taken 500.
            (1_000, vec![grows(10, Some(50))], None),
            (500, vec![grows(10, Some(50))], None),
            (499, vec![grows(10, Some(50))], Some(49)),
            (1_000, vec![grows(10, Some(50)), grows(10, None)], Some(50)),
            (1_500, vec![grows(10, None), grows(10, Some(50))], Some(100)),
            (1_500, vec![grows(10, Some(0)), grows(10, None)], Some(150)),
            (1_500, vec![grows(10, Some(90)), grows(10, Some(50)), grows(10, Some(50))], Some(50)),
            (u64::MAX, vec![grows(1, None)], Some(u64::MAX)),
            (u64::MAX, vec![grows(u64::MAX, None), grows(u64::MAX, None)], Some(1)),
            (u64::MAX, vec![grows(1, Some(u64::MAX)), grows(1, Some(7))], Some(u64::MAX - 7)),
        ] {
            assert_eq!(seconds_left(free, &growing), left, "{free} {growing:?}");
        }
    }
}
