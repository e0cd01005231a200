//! Two legs of one sender (ST 2022-7): what is lost on which, and scenarios of that out of a seed.
//!
//! Owns: the fate of a datagram on a leg, and the draws. Never: a judgement of the outcome.

use audyn_core::flow::{FlowFormat, Leg};
use audyn_core::sender::{Config, Event, Fault, PauseKind};
use audyn_units::{Encoding, FrameCount, FrameIndex, Mono, Nanos, SkewClass, Ssrc, Timestamp};

use crate::{Dice, Kind, Path, Scenario, World};

/// What is lost on one leg.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegFaults {
    /// Which leg it is.
    pub leg: Leg,
    /// Of a thousand datagrams, so many are lost on this leg and come on the other: 500 on both, and each comes once.
    pub loss: u64,
    /// When the leg is dead, by the sender's time: from, to.
    pub cuts: Vec<(Nanos, Nanos)>,
    /// When the leg holds what comes, by the receiver's clock: from, and until when, at which all of it arrives at once.
    pub holds: Vec<(Timestamp<Mono>, Timestamp<Mono>)>,
}

impl LegFaults {
    /// Whether a datagram that leaves at `due` is lost here. `fates` must be the same on both legs.
    pub(crate) fn drops(&self, due: Nanos, fates: &mut Dice) -> bool {
        let fate = fates.below(1_000);
        let from = self.loss * self.leg.index() as u64;
        (from..from + self.loss).contains(&fate)
            || self.cuts.iter().any(|&(cut, until)| cut <= due && due < until)
    }

    /// When a datagram arrives that would arrive at `at`.
    pub(crate) fn released(&self, at: Timestamp<Mono>) -> Timestamp<Mono> {
        self.holds.iter().find(|&&(from, until)| from <= at && at < until).map_or(at, |&(_, until)| until)
    }
}

/// How the legs of a scenario lie to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// The class that the receiver is configured for.
    pub class: SkewClass,
    /// What each leg loses.
    pub faults: [LegFaults; 2],
    /// How much later each leg is than the sender.
    pub delay: [Nanos; 2],
    /// The second leg's SSRC, if it has one of its own.
    pub second_ssrc: Option<Ssrc>,
}

/// A run with two legs that a seed stands for.
#[derive(Debug, Clone)]
pub struct LegScenario {
    /// The sender and all that both legs share.
    pub base: Scenario,
    /// The legs.
    pub legs: Protection,
}

impl LegScenario {
    /// The scenario of a seed: a sender without strangers; loss on the legs that never meets, one leg dead, then the other, or
    /// both; a skew that the class bears; the legs in either order.
    pub fn draw(seed: u64) -> Self {
        let mut base = Scenario::draw(Kind::Steady, seed);
        let mut dice = Dice::new(seed, 12);
        base.stranger = None;
        base.stalls.clear();
        // Each leg loses for itself; what the sender loses is lost on both.
        let class = dice.pick(&SkewClass::ALL);
        if class == SkewClass::C {
            // The tape tells indices apart by what the samples hold: 16 bits are 0.7 s at 96 kHz.
            base.config.format.encoding = Encoding::L24;
            while base.config.format.payload_bytes() > audyn_core::sender::MAX_PAYLOAD {
                let fewer = base.config.format.channels.get() - 1;
                base.config.format.channels = u8::try_from(fewer)
                    .ok()
                    .and_then(|n| audyn_units::ChannelCount::new(n).ok())
                    .expect("what fits as L16 on so many channels fits as L24 on fewer");
            }
        }
        // Bursts of the path use up the class's margin.
        base.path.buffer = Nanos::ZERO;
        base.path.jitter = Nanos(dice.below(4_000_000) as i64);
        base.config.impairments.reorder.packets = base.config.impairments.reorder.packets.min(1);
        base.config.impairments.duplicate.packets = base.config.impairments.duplicate.packets.min(1);
        let skew = Nanos(dice.below(class.skew().0 as u64 + 1) as i64);
        let later = dice.pick(&Leg::ALL);
        let mut delay = [Nanos::ZERO; 2];
        delay[later.index()] = skew;

        let loss = dice.pick(&[0, 1, 50, 500]);
        let mut faults = Leg::ALL.map(|leg| LegFaults { leg, loss, ..LegFaults::default() });
        let secs = |n: u64| Nanos::from_millis(n as i64 * 1_000);
        match dice.below(4) {
            // One leg, then the other, with a breath between that the skew fits into.
            0 => {
                let first = dice.pick(&Leg::ALL).index();
                faults[first].cuts.push((secs(1), secs(4)));
                faults[1 - first].cuts.push((secs(4) + Nanos::from_millis(500), secs(7)));
            }
            1 => faults.iter_mut().for_each(|leg| leg.cuts.push((secs(3), secs(3 + dice.between(1, 3))))),
            2 => {
                let absent = dice.pick(&Leg::ALL).index();
                faults[absent].cuts.push((Nanos::ZERO, secs(dice.between(1, 5))));
            }
            _ => {}
        }
        // What was dead on one leg can't be lost on the other: then it is lost.
        if faults.iter().any(|leg| !leg.cuts.is_empty()) {
            faults.iter_mut().for_each(|leg| leg.loss = 0);
        }
        let second_ssrc = dice.percent(30).then_some(Ssrc(base.config.ssrc.0 ^ 0x5a5a));
        Self { base, legs: Protection { class, faults, delay, second_ssrc } }
    }

    /// Also: the sender's SSRC changes, once, on both legs, and nothing else.
    pub fn with_ssrc_change(mut self, at: Nanos) -> Self {
        let at = FrameIndex(self.base.config.format.rate.frames_in(at).0);
        let fault = Fault::SsrcChange { to: None };
        self.base.config.impairments.events.push(Event { at, fault });
        self
    }

    /// Also: the sender begins anew, once, with other timestamps and another SSRC, on both legs.
    pub fn with_restart(mut self) -> (Self, FrameIndex) {
        let format = self.base.config.format;
        let packet = u64::from(format.packet_frames);
        let at = FrameIndex(format.rate.frames_in(Nanos::from_millis(7_500)).0 / packet * packet);
        let events = &mut self.base.config.impairments.events;
        events.clear();
        events.push(Event { at, fault: Fault::SsrcChange { to: None } });
        events.push(Event { at, fault: Fault::Jump { frames: 48_000_000 } });
        // Nothing that hides the break.
        self.base.config.impairments.burst = audyn_core::sender::Random::default();
        self.base.config.impairments.reorder = audyn_core::sender::Random::default();
        self.base.config.impairments.duplicate = audyn_core::sender::Random::default();
        (self, at)
    }

    /// What the receiver is told of the flow.
    pub fn flow(&self) -> FlowFormat {
        self.base.flow()
    }

    /// The world in which it takes place; the legs are the senders 0 and 1.
    pub fn world(&self) -> World {
        let Scenario { config, stream, path, grid, .. } = &self.base;
        let now = path.start;
        let mut world = World::with_second_leg(self.flow(), self.base.base(), now, *grid, self.legs.class);
        for leg in Leg::ALL {
            let (config, path) = self.leg(leg, config, path);
            let faults = self.legs.faults[leg.index()].clone();
            world.add_leg(config, *stream, path, faults).expect("a scenario draws only what a sender can do");
        }
        world
    }

    fn leg(&self, leg: Leg, config: &Config, path: &Path) -> (Config, Path) {
        let mut config = config.clone();
        if leg == Leg::Second {
            config.ssrc = self.legs.second_ssrc.unwrap_or(config.ssrc);
        }
        (config, Path { start: path.start + self.legs.delay[leg.index()], ..*path })
    }

    /// A plain scenario with legs: 48 kHz, stereo, 24 bit, 1 ms; `seconds` long, without any fault but the legs'.
    pub fn plain(seconds: u64, legs: Protection) -> Self {
        let mut base = Scenario::draw(Kind::Steady, 1);
        base.config.format = audyn_core::sender::Format {
            encoding: Encoding::L24,
            rate: audyn_units::SampleRate::HZ_48000,
            channels: audyn_units::ChannelCount::STEREO,
            packet_frames: 48,
        };
        base.config.packets = Some(seconds * 1_000);
        base.config.impairments = audyn_core::sender::Impairments::default();
        base.path = Path { ppm: 0, buffer: Nanos::ZERO, jitter: Nanos::ZERO, ..base.path };
        base.stranger = None;
        base.rubbish = 0;
        base.stalls.clear();
        base.grid = Nanos::from_millis(8);
        Self { base, legs }
    }

    /// Also: the sender goes away for a while, on both legs.
    pub fn with_pause(mut self, at: Nanos, length: Nanos, kind: PauseKind) -> Self {
        let rate = self.base.config.format.rate;
        let fault = Fault::Pause { length: rate.frames_in(length), kind };
        let at = FrameIndex(rate.frames_in(at).0);
        self.base.config.impairments.events.push(Event { at, fault });
        self
    }

    /// Also: the sender's timestamps leap, and no packet is missing.
    pub fn with_leap(mut self, at: Nanos, frames: i64) -> Self {
        let at = FrameIndex(self.base.config.format.rate.frames_in(at).0);
        self.base.config.impairments.events.push(Event { at, fault: Fault::Jump { frames } });
        self
    }

    /// When the sender starts, on the receiver's clock.
    pub fn start(&self) -> Timestamp<Mono> {
        self.base.path.start
    }

    /// The frames of `time`.
    pub fn frames(&self, time: Nanos) -> FrameCount {
        self.base.config.format.rate.frames_in(time)
    }
}

impl Protection {
    /// Two legs of class A that lose nothing and lie side by side.
    pub fn whole(class: SkewClass) -> Self {
        Self {
            class,
            faults: Leg::ALL.map(|leg| LegFaults { leg, ..LegFaults::default() }),
            delay: [Nanos::ZERO; 2],
            second_ssrc: None,
        }
    }
}
