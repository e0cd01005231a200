//! Where a flow stands on the clock: the offset between the receiver's own count of frames and frames since the PTP
//! epoch.
//!
//! Owns: how a flow is placed, and when it is placed anew. Never: a frame; the receiver counts on, whatever is decided here.
//!
//! # How a flow is placed
//!
//! A timestamp of RTP is the sender's media clock plus a constant, modulo 2³² (RFC 7273 §5.2). Of all positions that it may
//! mean the one nearest to our TAI at its arrival is taken. If it lies within [`AGREES_BEHIND`] and [`AGREES_AHEAD`] of that, the flow
//! is *placed by its media clock*: exact, whatever our own clock does later. Otherwise it is *placed by its arrival*: the
//! first frame stands at our TAI, and all that follows counts on from there. A sender with an offset out of the blue agrees by chance
//! once in 100,000 (0.8 s of the 89,478 s after which timestamps repeat at 48 kHz).
//!
//! # When it is placed anew
//!
//! Each time a stretch ends and another begins, which the sink is told ([`Placed`]); never within one.
//!
//! ```text
//!                    agrees                      the sender's timestamps broke, and agree no more
//!  first packets ──────────────► by media clock ────────────────────────────────────────────────┐
//!        │                            ▲ ▲ └─ they broke, and agree elsewhere: placed there      │
//!        │ does not                   │ │                                                       ▼
//!        └──────────────► by arrival ─┘ └── agrees for LASTING, while news of the clock is ─ by arrival
//!                           │  ▲            younger than NEWS
//!                           └──┘ our clock stepped
//! ```
//!
//! # Rejected
//!
//! - *Asking always whether the media clock agrees by now*: a free-running sender drifts through agreement some day.
//! - *Placing a flow by our clock again where the media clock is trusted*: our clock may be the one that is wrong, and two
//!   machines would part.

use audyn_units::{ClockQuality, FrameIndex, Mono, Nanos, RtpTime, SampleRate, Timestamp};

use crate::clock::{FollowedClock, LASTING, TaiReading, frame_at, tai_of};
use crate::segment::TimeAnchor;

/// How far a media clock's position may lie behind our TAI at arrival and agree: the longest way that packets take (a link offset, a
/// second leg of class C, a sender's buffer), and what our own clock may be off.
pub const AGREES_BEHIND: Nanos = Nanos::from_millis(600);

/// How far it may lie ahead: what our own clock may be off.
pub const AGREES_AHEAD: Nanos = Nanos::from_millis(200);

/// For so long after news of the clock (a step, another quality, a TAI offset) or a new source a flow that is placed by arrival is asked
/// whether its media clock agrees.
pub const NEWS: Nanos = Nanos::from_secs(60);

/// How a flow's positions were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// From the sender's media clock: exact.
    MediaClock,
    /// From our clock at the first packet's arrival: estimated.
    Arrival,
}

impl Placement {
    /// The name in the files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MediaClock => "media-clock",
            Self::Arrival => "arrival",
        }
    }
}

/// Why a flow is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has begun.
    First,
    /// Our clock has stepped by this much, and stood by it.
    ClockStepped(Nanos),
    /// Its media clock agrees with our clock by now.
    MediaClockAgrees,
    /// The sender's timestamps broke: another source, or a clock of its own that jumped.
    SenderBroke,
}

/// How a stretch of a flow was placed, stated where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Position of its first frame.
    pub position: FrameIndex,
    /// By how many frames it lies further on than it would without this; 0 for the first stretch.
    pub moved: i64,
    /// By what it was placed.
    pub placement: Placement,
    /// How good our own clock was then.
    pub quality: ClockQuality,
    /// TAI − UTC as it was known then.
    pub tai_offset: Option<Nanos>,
    /// Why now.
    pub why: Why,
    /// The position of an instant of UTC, as of now.
    pub anchor: TimeAnchor,
}

/// Positions as the receiver counts them, moved to where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shift(pub(super) i64);

impl Shift {
    /// Where a frame stands.
    pub(super) fn of(self, counted: FrameIndex) -> FrameIndex {
        FrameIndex(counted.0.saturating_add_signed(self.0))
    }
}

/// A packet of the source, by which its media clock is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) timestamp: RtpTime,
    /// Its first frame, as the receiver counts.
    pub(super) counted: FrameIndex,
    /// When that frame should have arrived.
    pub(super) arrival: Timestamp<Mono>,
}

#[derive(Debug, Clone)]
pub(super) struct Anchor {
    rate: SampleRate,
    media_clock_offset: u32,
    clock: Option<FollowedClock>,
    placement: Option<Placement>,
    pub(super) shift: Shift,
    /// How good the clock was when the flow was placed.
    quality: ClockQuality,
    /// Until when a flow placed by arrival is asked whether its media clock agrees.
    asked_until: Timestamp<Mono>,
    /// Since when it does.
    agrees_since: Option<Timestamp<Mono>>,
    /// A step of the clock that no stretch has answered yet.
    step: Option<Nanos>,
}

impl Anchor {
    pub(super) fn new(rate: SampleRate, media_clock_offset: u32) -> Self {
        Self {
            rate,
            media_clock_offset,
            clock: None,
            placement: None,
            shift: Shift::default(),
            quality: ClockQuality::None,
            asked_until: Timestamp::ZERO,
            agrees_since: None,
            step: None,
        }
    }

    pub(super) fn media_clock_offset(&self) -> u32 {
        self.media_clock_offset
    }

    pub(super) fn placement(&self) -> Option<(Placement, ClockQuality)> {
        self.placement.map(|placement| (placement, self.quality))
    }

    /// Takes a reading of the clock. Returns how well it was known and is, where that has changed under a flow that stands on it.
    pub(super) fn on_clock(&mut self, reading: TaiReading) -> Option<(ClockQuality, ClockQuality)> {
        let Some(clock) = &mut self.clock else {
            self.clock = Some(FollowedClock::new(reading));
            return None;
        };
        if self.placement.is_none() {
            // Nothing stands on it yet.
            *clock = FollowedClock::new(reading);
            return None;
        }
        let before = *clock.reading();
        if let Some(step) = clock.follow(reading) {
            self.step = Some(self.step.map_or(step, |sum| sum + step));
        }
        if self.step.is_some()
            || before.quality != reading.quality
            || before.tai_offset.is_some() != reading.tai_offset.is_some()
        {
            self.asked_until = reading.at + NEWS;
        }
        (before.quality != reading.quality).then_some((before.quality, reading.quality))
    }

    /// A step of the clock that moves nothing, since the flow was placed by its media clock; told once.
    pub(super) fn outlived_step(&mut self) -> Option<Nanos> {
        if self.placement == Some(Placement::MediaClock) { self.step.take() } else { None }
    }

    /// Places a flow that has found its source: the first packet's place, and what is to be told.
    pub(super) fn place_first(&mut self, mark: Mark) -> Option<Placed> {
        self.clock?;
        self.asked_until = mark.arrival + NEWS;
        self.place(&mark, Why::First)
    }

    /// A source took another's place on the same clock: asks again whether the media clock agrees.
    pub(super) fn ask(&mut self, now: Timestamp<Mono>) {
        self.asked_until = now + NEWS;
    }

    /// Places a source that took another's place, or whose timestamps broke. None if positions go on as they were found before.
    pub(super) fn place_broken(&mut self, mark: Mark) -> Option<Placed> {
        self.placement?;
        self.asked_until = mark.arrival + NEWS;
        let before = (self.placement, self.shift);
        let agrees = self.by_media_clock(&mark);
        match agrees {
            // By arrival it has a place already.
            None if before.0 == Some(Placement::Arrival) => None,
            Some(position) if before == (Some(Placement::MediaClock), shift_to(position, &mark)) => None,
            None => Some(self.stand(Placement::Arrival, self.shift, &mark, Why::SenderBroke)),
            Some(position) => {
                Some(self.stand(Placement::MediaClock, shift_to(position, &mark), &mark, Why::SenderBroke))
            }
        }
    }

    /// Whether a flow must be placed anew by what the clock says: places it, at a mark of its own. What is told is of `head`.
    pub(super) fn reconsider(
        &mut self,
        mark: Mark,
        head: FrameIndex,
        now: Timestamp<Mono>,
    ) -> Option<Placed> {
        let step = self.step.take();
        if self.placement != Some(Placement::Arrival) {
            return None;
        }
        let mut placed = match step {
            Some(step) => self.place(&mark, Why::ClockStepped(step)),
            None if now > self.asked_until || self.clock?.is_in_doubt() => {
                self.agrees_since = None;
                None
            }
            None => match self.by_media_clock(&mark) {
                None => {
                    self.agrees_since = None;
                    None
                }
                Some(_) if now - *self.agrees_since.get_or_insert(now) < LASTING => None,
                Some(position) => Some(self.stand(
                    Placement::MediaClock,
                    shift_to(position, &mark),
                    &mark,
                    Why::MediaClockAgrees,
                )),
            },
        }?;
        placed.position = self.shift.of(head);
        Some(placed)
    }

    /// Which instant a frame has: by arithmetic where the media clock tells, else by what should be arriving when.
    pub(super) fn time_anchor(&self, arriving: FrameIndex, now: Timestamp<Mono>) -> Option<TimeAnchor> {
        let clock = self.clock.as_ref()?;
        let position = self.shift.of(arriving);
        let tai_offset = clock.reading().tai_offset;
        if self.placement == Some(Placement::MediaClock) {
            // A whole second has no remainder, so that other whole seconds have none either.
            let hz = u64::from(self.rate.hz());
            let second = FrameIndex(position.0 / hz * hz);
            let utc = clock.utc_of(tai_of(self.rate, second));
            return Some(TimeAnchor { position: second, utc, rate: self.rate, exact: true, tai_offset });
        }
        let utc = clock.utc_of(clock.tai_at(now));
        Some(TimeAnchor { position, utc, rate: self.rate, exact: false, tai_offset })
    }

    /// How much later the frame that is `arriving` does so than its position says.
    pub(super) fn behind(&self, arriving: FrameIndex, now: Timestamp<Mono>) -> Option<Nanos> {
        self.placement?;
        Some(self.clock.as_ref()?.tai_at(now) - tai_of(self.rate, self.shift.of(arriving)))
    }

    fn place(&mut self, mark: &Mark, why: Why) -> Option<Placed> {
        let clock = self.clock.as_ref()?;
        let told = self.by_media_clock(mark);
        let placement = if told.is_some() { Placement::MediaClock } else { Placement::Arrival };
        let position = told.unwrap_or_else(|| frame_at(self.rate, clock.tai_at(mark.arrival)));
        Some(self.stand(placement, shift_to(position, mark), mark, why))
    }

    fn stand(&mut self, placement: Placement, shift: Shift, mark: &Mark, why: Why) -> Placed {
        let clock = self.clock.as_ref().expect("a flow is placed only when the clock has been told");
        let reading = *clock.reading();
        let moved = if self.placement.is_some() { shift.0 - self.shift.0 } else { 0 };
        self.placement = Some(placement);
        self.shift = shift;
        self.quality = reading.quality;
        self.agrees_since = None;
        let anchor = self.time_anchor(mark.counted, mark.arrival).expect("the clock has been told");
        Placed {
            position: shift.of(mark.counted),
            moved,
            placement,
            quality: reading.quality,
            tai_offset: reading.tai_offset,
            why,
            anchor,
        }
    }

    /// The position that a media clock tells, if it agrees with our clock.
    fn by_media_clock(&self, mark: &Mark) -> Option<FrameIndex> {
        let expected = frame_at(self.rate, self.clock.as_ref()?.tai_at(mark.arrival));
        let told = mark.timestamp.0.wrapping_sub(self.media_clock_offset);
        let off = i64::from(told.wrapping_sub(expected.0 as u32) as i32);
        let behind = self.rate.frames_in(AGREES_BEHIND).0 as i64;
        let ahead = self.rate.frames_in(AGREES_AHEAD).0 as i64;
        (-behind..=ahead).contains(&off).then(|| FrameIndex(expected.0.saturating_add_signed(off)))
    }
}

fn shift_to(position: FrameIndex, mark: &Mark) -> Shift {
    Shift(position.distance_from(mark.counted))
}
