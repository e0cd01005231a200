//! Where a recording is cut into segments.
//!
//! Owns: the frame at which the running segment ends, found from the instant at which it shall end. Never: names, files.
//! Until the last second before it the frame is found anew, so that it follows the sender's drift and the clock.

use audyn_units::{FrameCount, FrameIndex, Nanos, SampleRate, Timestamp, Utc};

/// One instant of a flow in both terms: which frame was arriving when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeAnchor {
    /// The frame.
    pub position: FrameIndex,
    /// When it was arriving.
    pub utc: Timestamp<Utc>,
    /// Frames a second.
    pub rate: SampleRate,
    /// The two belong together by arithmetic (the flow is placed by its media clock), not by what was seen to arrive.
    pub exact: bool,
    /// TAI − UTC by which `utc` was told, if it was known.
    pub tai_offset: Option<Nanos>,
}

impl TimeAnchor {
    /// When a frame arrives or arrived, by the flow's nominal rate.
    pub fn utc_of(&self, position: FrameIndex) -> Timestamp<Utc> {
        let distance = position.distance_from(self.position);
        let span = self.rate.duration(FrameCount(distance.unsigned_abs()));
        if distance < 0 { self.utc - span } else { self.utc + span }
    }

    /// Which frame arrives at an instant, by the flow's nominal rate; to the nearest frame.
    pub fn position_of(&self, utc: Timestamp<Utc>) -> FrameIndex {
        let span = utc - self.utc;
        let half = Nanos(500_000_000 / i64::from(self.rate.hz()));
        if span.0 < 0 {
            FrameIndex(self.position.0.saturating_sub(self.rate.frames_in(-span + half).0))
        } else {
            self.position + self.rate.frames_in(span + half)
        }
    }
}

/// The end of the running segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The instant at which the segment shall end and the next shall start.
    pub utc: Timestamp<Utc>,
    /// The first frame of the next segment.
    pub position: FrameIndex,
}

impl Cut {
    /// A cut at an instant.
    pub fn at(utc: Timestamp<Utc>, anchor: &TimeAnchor) -> Self {
        Self { utc, position: anchor.position_of(utc) }
    }

    /// Follows drift and clock while the cut is more than a second ahead of `head`; then it stands. Where nothing drifts it follows
    /// to the end: only a leap second moves it then.
    pub fn follow(&mut self, head: FrameIndex, anchor: &TimeAnchor) {
        let second = FrameCount(if anchor.exact { 0 } else { u64::from(anchor.rate.hz()) });
        let moved = anchor.position_of(self.utc);
        if self.position >= head + second && moved >= head + second {
            self.position = moved;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(position: u64, nanos: i64) -> TimeAnchor {
        TimeAnchor {
            position: FrameIndex(position),
            utc: Timestamp::from_nanos(nanos),
            rate: SampleRate::HZ_48000,
            exact: false,
            tai_offset: None,
        }
    }

    #[test]
    fn a_leap_second_moves_an_exact_cut_up_to_its_last_frame() {
        let exact = |nanos| TimeAnchor { exact: true, ..anchor(0, nanos) };
        let mut cut = Cut::at(Timestamp::from_nanos(10_000_000_000), &exact(0));
        cut.follow(FrameIndex(479_999), &exact(-1_000_000_000));
        assert_eq!(cut.position, FrameIndex(528_000), "a second was inserted");
        cut.follow(FrameIndex(479_999), &exact(0));
        assert_eq!(cut.position, FrameIndex(480_000), "and left out again");
    }

    #[test]
    fn instants_and_frames_come_back_both_ways() {
        let anchor = anchor(10_000_000, 1_000_000_000_000);
        for position in [0, 9_999_999, 10_000_000, 10_000_001, 182_800_000] {
            assert_eq!(anchor.position_of(anchor.utc_of(FrameIndex(position))), FrameIndex(position));
        }
    }

    #[test]
    fn a_cut_follows_drift_until_the_last_second() {
        let mut cut = Cut::at(Timestamp::from_nanos(10_000_000_000), &anchor(0, 0));
        assert_eq!(cut.position, FrameIndex(480_000));
        cut.follow(FrameIndex(240_000), &anchor(240_024, 5_000_000_000));
        assert_eq!(cut.position, FrameIndex(480_024));
        cut.follow(FrameIndex(450_000), &anchor(450_100, 9_370_000_000));
        assert_eq!(cut.position, FrameIndex(480_024), "too near to move");
        cut.follow(FrameIndex(240_000), &anchor(700_000, 5_000_000_000));
        assert!(cut.position > FrameIndex(480_024));
    }
}
