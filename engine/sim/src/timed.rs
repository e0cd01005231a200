//! Scenarios in which clocks do what they do: the machine's steps, leap seconds, another grandmaster, a source that changes,
//! a receiver that is started again.
//!
//! Owns: the draws, and what a receiver that keeps its word makes of them, told by rules of its own. Never: the receiver's code.

use audyn_core::clock::{LASTING, frame_at};
use audyn_core::flow::{Placement, Why};
use audyn_core::sender::{Event, Fault};
use audyn_units::{ClockQuality, FrameCount, FrameIndex, Mono, Nanos, RtpTime, SampleRate, Tai, Timestamp};

use crate::{Dice, Kind, MachineClock, Scenario, Turn, World};

/// True TAI when the sender starts: 2026, an hour before new year in UTC.
const TAI: Timestamp<Tai> = Timestamp::from_nanos(1_798_758_000_123_456_789);

/// TAI − UTC.
const LEAP_SECONDS: Nanos = Nanos::from_secs(37);

/// What happens in a scenario besides what its steady one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// The machine's clock steps for good.
    Step(Nanos),
    /// It steps, and is back before that counts.
    Glitch(Nanos),
    /// A leap second, told so much later.
    Leap(i64, Nanos),
    /// TAI − UTC is told for the first time.
    Told,
    /// Another grandmaster: the sender's clock steps by so much, and the machine's so much later (earlier, if negative).
    Grandmaster(Nanos, Nanos),
    /// Another SSRC on the same media clock.
    Ssrc,
    /// The receiver is started again; it is away for so long.
    Restart(Nanos),
}

/// A run that a seed stands for.
#[derive(Debug, Clone)]
pub struct Timed {
    /// What happens on the way.
    pub steady: Scenario,
    /// The machine's clock.
    pub clock: MachineClock,
    /// The media clock offset of the sender's SDP.
    pub media_clock_offset: Option<u32>,
    /// Whether the sender's timestamps are its media clock.
    pub tells_time: bool,
    /// What happens, on the receiver's clock.
    pub happenings: Vec<(Timestamp<Mono>, Happening)>,
    start: Timestamp<Mono>,
    end: Timestamp<Mono>,
}

/// How a stretch is to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// By what.
    pub placement: Placement,
    /// Why it begins.
    pub why: Why,
    /// Position less media index (the sender's index and the steps of its timestamps): exact by media clock, else near.
    pub offset: i64,
}

impl Timed {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 12);
        let mut steady = Scenario::draw(Kind::Steady, seed);
        // A stranger would be taken for the flow by a receiver that begins while both send.
        steady.stranger = None;
        let format = steady.config.format;
        let (rate, start) = (format.rate, steady.path.start);
        // Long enough for two or three things to happen; the shortest packets cost too much for that.
        let least = if format.packet_frames >= 48 { Nanos::from_secs(18) } else { Nanos::ZERO };
        let packets =
            steady.config.packets.unwrap_or(0).max(rate.frames_in(least).0 / u64::from(format.packet_frames));
        steady.config.packets = Some(packets);
        let length = rate.duration(FrameCount(packets * u64::from(format.packet_frames)));
        let tells_time = dice.percent(60);
        let offset = if dice.percent(50) { 0 } else { dice.bits() };
        let zero = frame_at(rate, TAI).0 as u32;
        // Far from agreement, and from any agreement that steps and leaps could bring.
        let apart = rate.frames_in(Nanos::from_secs(3 * 3_600)).0 as u32;
        let astray = if tells_time { 0 } else { apart + dice.below(u64::from(u32::MAX - 2 * apart)) as u32 };
        steady.config.first_timestamp = RtpTime(zero.wrapping_add(offset).wrapping_add(astray));
        let told = dice.percent(75);
        let mut timed = Self {
            clock: MachineClock {
                origin: (start, TAI),
                ppm: steady.path.ppm,
                leap_seconds: LEAP_SECONDS,
                told: told.then_some(LEAP_SECONDS),
                turns: vec![(start - Nanos(1), Turn::Quality(dice.pick(&ClockQuality::ALL)))],
            },
            steady,
            media_clock_offset: (offset != 0 || dice.percent(50)).then_some(offset),
            tells_time,
            happenings: Vec::new(),
            start,
            end: start + length,
        };
        timed.draw_happenings(&mut dice, told);
        // What waits for a reader that does not run is lost with it, and how much that is is not counted here.
        let ends = |&(at, what): &(_, Happening)| matches!(what, Happening::Restart(_)).then_some(at);
        let restarts: Vec<Timestamp<Mono>> = timed.happenings.iter().filter_map(ends).collect();
        timed
            .steady
            .stalls
            .retain(|&(from, length)| !restarts.iter().any(|&at| from <= at && at < from + length));
        timed
    }

    /// The world in which it takes place; the sender is number 0.
    pub fn world(&self) -> World {
        let mut world = self.steady.world();
        world.set_clock(self.clock.clone(), self.media_clock_offset);
        for &(at, what) in &self.happenings {
            if let Happening::Restart(length) = what {
                world.restart(at, length);
            }
        }
        world
    }

    /// Whether every frame that came is kept and its place known: nothing broke on the way.
    pub fn is_whole(&self) -> bool {
        let breaks = |what: &Happening| {
            matches!(what, Happening::Grandmaster(..) | Happening::Ssrc | Happening::Restart(_))
        };
        !self.happenings.iter().any(|(_, what)| breaks(what))
    }

    fn rate(&self) -> SampleRate {
        self.steady.config.format.rate
    }

    fn draw_happenings(&mut self, dice: &mut Dice, mut told: bool) {
        let millis = |dice: &mut Dice, from, to| Nanos::from_millis(dice.between(from, to) as i64);
        let (mut at, mut ahead, mut leap_seconds) =
            (self.start + Nanos::from_millis(1_500), Nanos::ZERO, LEAP_SECONDS);
        let (mut restarted, far) = (false, [-3_600, -1, 1, 3_600]);
        loop {
            let step = Nanos::from_secs(dice.pick(&far));
            let kinds: &[u8] = if restarted { &[0, 1, 2, 4, 4, 5] } else { &[0, 1, 2, 3, 4, 4, 5, 6] };
            let (what, room) = match dice.pick(kinds) {
                // Told as late as a machine that finds its grandmaster.
                _ if !told => (Happening::Told, Nanos::from_secs(5)),
                0 | 3 => (Happening::Step(step), Nanos::from_secs(5)),
                1 => (Happening::Glitch(step), Nanos::from_secs(5)),
                2 => (Happening::Leap(dice.pick(&[-1, 1]), millis(dice, 0, 1_500)), Nanos::from_secs(5)),
                4 => {
                    let later = dice.pick(&[
                        Nanos::ZERO,
                        Nanos::from_millis(1_000),
                        Nanos::from_millis(3_000),
                        Nanos::from_millis(-6_500),
                    ]);
                    (Happening::Grandmaster(step, later), Nanos::from_secs(9))
                }
                5 => (Happening::Ssrc, Nanos::from_secs(3)),
                _ => (Happening::Restart(millis(dice, 20, 2_000)), Nanos::from_secs(5)),
            };
            if at + room > self.end {
                return;
            }
            match what {
                Happening::Step(step) => {
                    ahead = ahead + step;
                    self.turns(at, Turn::Ahead(ahead));
                }
                Happening::Glitch(step) => {
                    self.turns(at, Turn::Ahead(ahead + step));
                    self.turns(at + millis(dice, 10, 2_000), Turn::Ahead(ahead));
                }
                Happening::Leap(leap, late) => {
                    leap_seconds = leap_seconds + Nanos::from_secs(leap);
                    self.turns(at, Turn::Leap(leap_seconds));
                    self.turns(at + late, Turn::Told(leap_seconds));
                }
                Happening::Told => {
                    told = true;
                    self.turns(at, Turn::Told(leap_seconds));
                }
                Happening::Grandmaster(step, later) => {
                    ahead = ahead + step;
                    let (ours, theirs) =
                        if later < Nanos::ZERO { (at, at - later) } else { (at + later, at) };
                    self.turns(ours, Turn::Ahead(ahead));
                    let frames = step.0 / 1_000_000_000 * i64::from(self.rate().hz());
                    self.fault(theirs, Fault::Jump { frames });
                }
                Happening::Ssrc => self.fault(at, Fault::SsrcChange { to: None }),
                Happening::Restart(_) => restarted = true,
            }
            self.happenings.push((at, what));
            at += room;
        }
    }

    fn turns(&mut self, at: Timestamp<Mono>, turn: Turn) {
        self.clock.turns.push((at, turn));
    }

    /// A fault of the sender at an instant, on a packet's start; not while it is away.
    fn fault(&mut self, at: Timestamp<Mono>, fault: Fault) {
        let packet = u64::from(self.steady.config.format.packet_frames);
        let frame = self.rate().frames_in(at - self.start).0.div_ceil(packet) * packet;
        self.steady.config.impairments.events.push(Event { at: FrameIndex(frame), fault });
    }

    /// When the clock's steps count, and how far it is off true TAI from then on.
    fn believed(&self) -> Vec<(Timestamp<Mono>, Nanos)> {
        let mut times: Vec<Timestamp<Mono>> = self.clock.turns.iter().map(|turn| turn.0).collect();
        times.push(self.end + Nanos::from_secs(3_600));
        let mut error = self.clock.error(self.start);
        let mut believed = Vec::new();
        for pair in times.windows(2) {
            let now = self.clock.error(pair[0]);
            // What comes and goes at one instant is not seen.
            if now != error && pair[1] - pair[0] >= LASTING {
                believed.push((pair[0] + LASTING, now));
                error = now;
            }
        }
        believed
    }

    /// The stretches that there must be.
    pub fn expected(&self) -> Vec<Expected> {
        enum Moment {
            Believed(Nanos),
            Jump(Nanos),
            Restart,
        }
        let hz = i64::from(self.rate().hz());
        let mut moments: Vec<(Timestamp<Mono>, Moment)> =
            self.believed().into_iter().map(|(at, error)| (at, Moment::Believed(error))).collect();
        for &(at, what) in &self.happenings {
            match what {
                Happening::Grandmaster(step, later) => {
                    moments.push((if later < Nanos::ZERO { at - later } else { at }, Moment::Jump(step)));
                }
                Happening::Restart(length) => moments.push((at + length, Moment::Restart)),
                _ => {}
            }
        }
        moments.sort_by_key(|moment| moment.0);

        // In seconds: what is off is off by whole ones.
        let mut error = self.clock.error(self.start);
        let mut sender = Nanos::ZERO;
        let zero = frame_at(self.rate(), TAI).0 as i64;
        let frames = |span: Nanos| span.0 / 1_000_000_000 * hz;
        let agrees = |error: Nanos, sender: Nanos| self.tells_time && error == sender;
        let place = |error: Nanos, sender: Nanos, why| {
            if agrees(error, sender) {
                Expected { placement: Placement::MediaClock, why, offset: zero }
            } else {
                Expected { placement: Placement::Arrival, why, offset: zero + frames(error) - frames(sender) }
            }
        };
        let mut stretches = vec![place(error, sender, Why::First)];
        for (at, moment) in moments {
            let now = stretches[stretches.len() - 1];
            match moment {
                Moment::Restart => {
                    error = self.clock.error(at);
                    stretches.push(place(error, sender, Why::First));
                }
                Moment::Believed(to) => {
                    let step = to - error;
                    error = to;
                    // After a restart the new receiver may have begun with it.
                    if step != Nanos::ZERO && now.placement == Placement::Arrival {
                        stretches.push(place(error, sender, Why::ClockStepped(step)));
                    }
                }
                Moment::Jump(step) => {
                    sender = sender + step;
                    if agrees(error, sender) {
                        stretches.push(place(error, sender, Why::SenderBroke));
                    } else if now.placement == Placement::MediaClock {
                        let offset = now.offset - frames(step);
                        let (placement, why) = (Placement::Arrival, Why::SenderBroke);
                        stretches.push(Expected { placement, why, offset });
                    }
                }
            }
        }
        stretches
    }
}
