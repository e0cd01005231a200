//! Scenarios out of a seed: a sender's form, its faults, the path, the company it keeps.
//!
//! Owns: the draws, within what the receiver promises to bear. Never: a judgement of the outcome.

use audyn_core::flow::FlowFormat;
use audyn_core::sender::{
    Chance, Config, Event, Fault, Format, Impairments, PauseKind, Random, draw_identity,
};
use audyn_units::{
    ChannelCount, Encoding, FrameCount, FrameIndex, Mono, Nanos, PayloadType, RtpTime, SampleRate, SeqNo,
    Timestamp,
};

use crate::{Dice, Path, Rubbish, Stream, World};

/// When a scenario's sender starts, on the receiver's clock.
pub(crate) const START: Timestamp<Mono> = Timestamp::from_nanos(77_123_456_789);

/// Where the first frame received is to stand.
const BASE: FrameIndex = FrameIndex(1_000_000);

/// The receiver's reorder window: 20 ms or 10 packets, whichever is longer.
const REORDER_TIME: Nanos = Nanos::from_millis(20);

/// No fault for this long at the start, so that the first packet received is one of the first sent.
const QUIET_START: Nanos = Nanos::from_millis(500);

/// What a scenario may cost, in samples, if it is longer than 10 s; a packet costs as much as 60 of them.
const BUDGET: u64 = 1_000_000;

/// Room for the reader's cadence, drift and rounding in the sums below.
const SLACK: Nanos = Nanos::from_millis(1);

/// What may happen in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The media clock runs on: loss, bursts, reordering, repeats, pauses with running timestamps.
    Steady,
    /// Also what breaks the sender's timeline.
    Broken,
}

/// What breaks a timeline, or seems to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Timestamps step by so many frames, far more than the receiver takes for a gap of the sender's own.
    Jump(i64),
    /// The sender stands still for this long, its media clock too.
    Frozen(FrameCount),
    /// Another SSRC goes on counting on the same media clock.
    SsrcSameClock,
    /// Another SSRC with timestamps of its own, this many frames off.
    SsrcOtherClock(i64),
    /// Sequence numbers go on elsewhere; timestamps go on.
    Sequence,
}

/// A run that a seed stands for.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The sender.
    pub config: Config,
    /// Its way.
    pub path: Path,
    /// What its samples carry.
    pub stream: Stream,
    /// Another sender on the same group, whose audio may never be heard, and its way.
    pub stranger: Option<(Config, Path)>,
    /// Rubbish datagrams a second.
    pub rubbish: u32,
    /// The reader's cadence.
    pub grid: Nanos,
    /// Times in which the reader does not run.
    pub stalls: Vec<(Timestamp<Mono>, Nanos)>,
    /// What breaks the timeline, in order, and the sender's position there.
    pub breaks: Vec<(FrameIndex, Break)>,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(kind: Kind, seed: u64) -> Self {
        let mut dice = Dice::new(seed, if kind == Kind::Steady { 10 } else { 11 });
        let format = draw_format(&mut dice);
        let path = draw_path(&mut dice, START);
        let packets = draw_length(&mut dice, &format);
        let (ssrc, first_sequence, far) = draw_identity(seed);
        // Half of the runs cross the wrap of the timestamps.
        let near = RtpTime(0u32.wrapping_sub(dice.below(packets * u64::from(format.packet_frames)) as u32));
        let mut scenario = Self {
            seed,
            config: Config {
                format,
                payload_type: PayloadType::new(dice.pick(&[96, 97, 98, 127])).expect("below 128"),
                ssrc,
                first_sequence,
                first_timestamp: if dice.percent(50) { near } else { far },
                packets: Some(packets),
                seed,
                impairments: Impairments::default(),
            },
            path,
            stream: Stream { number: dice.below(200) as u32 * 2, first: FrameIndex(0) },
            stranger: None,
            rubbish: if dice.percent(25) { dice.pick(&[20, 100, 400]) } else { 0 },
            grid: Nanos::from_millis(dice.pick(&[4, 8])),
            stalls: Vec::new(),
            breaks: Vec::new(),
        };
        let alone = dice.percent(80);
        scenario.draw_chances(&mut dice, alone);
        if alone && (kind == Kind::Steady || dice.percent(30)) {
            scenario.draw_pauses(&mut dice);
        } else if !alone {
            scenario.draw_stranger(&mut dice);
        }
        if kind == Kind::Broken {
            scenario.draw_breaks(&mut dice);
        }
        // A reader that sleeps through the end of a stop writes no silence, and so can't tell the stop from packets that
        // are late. Which of the two it was makes no difference to what is kept, only to the place that it is given.
        let stops = scenario.breaks.iter().any(|(_, what)| matches!(what, Break::Frozen(_)));
        for _ in 0..if stops { 0 } else { dice.below(3) } {
            let length = scenario.nanos(scenario.frames());
            let at = START + Nanos(dice.below(length.0 as u64) as i64);
            scenario.stalls.push((at, Nanos::from_millis(dice.between(10, 900) as i64)));
        }
        scenario
    }

    /// What the receiver is told of the flow.
    pub fn flow(&self) -> FlowFormat {
        let Format { encoding, rate, channels, .. } = self.config.format;
        FlowFormat { encoding, rate, channels, payload_type: self.config.payload_type }
    }

    /// The world in which it takes place; the sender is number 0.
    pub fn world(&self) -> World {
        let mut world = World::new(self.flow(), BASE, START, self.grid);
        world
            .add_sender(self.config.clone(), self.stream, self.path)
            .expect("a scenario draws only what a sender can do");
        if let Some((config, path)) = &self.stranger {
            let stream = Stream { number: self.stream.number + 1, first: FrameIndex(0) };
            world.add_stranger(config.clone(), stream, *path).expect("a stranger is drawn like a sender");
        }
        if let Some(rubbish) = self.draw_rubbish() {
            world.add_rubbish(rubbish);
        }
        for &(from, length) in &self.stalls {
            world.stall(from, length);
        }
        world
    }

    /// The rubbish that is mixed in, if any.
    pub(crate) fn draw_rubbish(&self) -> Option<Rubbish> {
        let bytes = self.config.format.payload_bytes();
        let times = (START, START + self.nanos(self.frames()));
        (self.rubbish > 0).then(|| Rubbish::new(self.flow(), bytes, self.seed, self.rubbish, times))
    }

    /// Where the recording starts.
    pub fn base(&self) -> FrameIndex {
        BASE
    }

    /// How far out of its turn a datagram can arrive.
    pub fn disorder(&self) -> Nanos {
        let packets = u64::from(self.config.impairments.reorder.packets);
        self.lateness() + self.nanos(FrameCount(packets * u64::from(self.config.format.packet_frames)))
    }

    fn lateness(&self) -> Nanos {
        self.path.jitter + self.path.buffer
    }

    fn frames(&self) -> FrameCount {
        FrameCount(self.config.packets.unwrap_or(0) * u64::from(self.config.format.packet_frames))
    }

    fn nanos(&self, frames: FrameCount) -> Nanos {
        self.config.format.rate.duration(frames)
    }

    fn in_packets(&self, span: Nanos) -> u64 {
        self.config.format.rate.frames_in(span).0 / u64::from(self.config.format.packet_frames)
    }

    fn draw_chances(&mut self, dice: &mut Dice, alone: bool) {
        let packet = u64::from(self.config.format.packet_frames);
        let window = self.config.format.rate.frames_in(REORDER_TIME).0.max(packet * 10);
        // A packet that is `k` late has been passed by `k` others, and all of them lie in the window. Nor may the clock
        // run past the window while it is awaited: of the `k`, the furthest has waited for the lateness of the path.
        let by_frames = (window / packet).saturating_sub(1);
        let spare = self.nanos(FrameCount(window)) - self.lateness() - SLACK;
        let by_time = if spare.0 < 0 { 0 } else { self.in_packets(spare) };
        let reach = by_frames.min(by_time);

        // A stranger takes over when the source is silent for 40 ms, as it should.
        let longest = if alone { Nanos::from_millis(300) } else { Nanos::from_millis(8) };
        if dice.percent(40) {
            let packets = dice.between(1, self.in_packets(longest).max(1));
            let chance = Chance::new(0.05 / packets as f64).expect("a twentieth, or less, is a probability");
            self.config.impairments.burst = Random { chance, packets: packets as u32 };
        }
        let faults = &mut self.config.impairments;
        faults.loss = per_mille(dice.pick(&[0, 1, 10, 30]));
        if reach > 0 && dice.percent(60) {
            let packets = dice.between(1, reach) as u32;
            faults.reorder = Random { chance: per_mille(dice.pick(&[5, 20, 50, 200])), packets };
        }
        if dice.percent(50) {
            let packets = dice.below(reach + 1) as u32;
            faults.duplicate = Random { chance: per_mille(dice.pick(&[10, 50, 300])), packets };
        }
    }

    /// Up to three pauses with a media clock that runs on.
    fn draw_pauses(&mut self, dice: &mut Dice) {
        let kinds = [PauseKind::Outage, PauseKind::Running];
        for at in self.places(dice, 0, 3) {
            let millis = dice.pick(&[30, 300, 1_000, 1_500]);
            let length =
                self.config.format.rate.frames_in(Nanos::from_millis(dice.between(1, millis) as i64));
            let fault = Fault::Pause { length, kind: dice.pick(&kinds) };
            self.config.impairments.events.push(Event { at, fault });
        }
    }

    /// Another sender of the same form, some time after the first began.
    fn draw_stranger(&mut self, dice: &mut Dice) {
        let (ssrc, first_sequence, first_timestamp) = draw_identity(self.seed ^ 0x5eed);
        // Its counters may even be the very same.
        let twin = dice.percent(30);
        let config = Config {
            ssrc,
            first_sequence: if twin { self.config.first_sequence } else { first_sequence },
            first_timestamp: if twin { self.config.first_timestamp } else { first_timestamp },
            seed: self.seed ^ 0x5eed,
            impairments: Impairments::default(),
            packets: self.config.packets.map(|packets| packets * 9 / 10 - self.in_packets(QUIET_START)),
            ..self.config.clone()
        };
        let start = START + QUIET_START;
        self.stranger = Some((config, draw_path(dice, start)));
    }

    /// Up to four breaks, not in the same place as another event.
    fn draw_breaks(&mut self, dice: &mut Dice) {
        let rate = self.config.format.rate;
        let taken: Vec<FrameIndex> = self.config.impairments.events.iter().map(|event| event.at).collect();
        for at in self.places(dice, 1, 4) {
            let apart = rate.frames_in(Nanos::from_millis(3_500)).0;
            if taken.iter().any(|&other| at.distance_from(other).unsigned_abs() < apart) {
                continue;
            }
            // After a stop the arrival clock needs 4 s, two of its windows, to follow.
            if let Some(&(stopped, Break::Frozen(length))) = self.breaks.last()
                && at.since(stopped + length) < rate.frames_in(Nanos::from_millis(4_100))
            {
                continue;
            }
            // The receiver believes up to 250 ms, and twice that must be told from it.
            let far = rate.frames_in(Nanos::from_millis(600)).0;
            let (near, wide) = (far + dice.below(1 << 20), dice.between(1 << 24, 1 << 30));
            let step = dice.pick(&[near, wide]) as i64;
            let step = if dice.percent(50) { step } else { -step };
            // With a stranger about, a source that falls silent gives way to it; that is no break of its own.
            let kinds: &[u8] = if self.stranger.is_none() { &[0, 1, 1, 2, 3, 3, 4] } else { &[0, 4] };
            let (what, faults) = match dice.pick(kinds) {
                0 => (Break::Jump(step), vec![Fault::Jump { frames: step }]),
                1 => {
                    let (from, to) =
                        dice.pick(&[(20, 1_000), (1_000, 1_120), (1_120, 2_500), (1_120, 2_500)]);
                    let packet = u64::from(self.config.format.packet_frames);
                    let length = rate.frames_in(Nanos::from_millis(dice.between(from, to) as i64)).0;
                    // In whole packets, as the sender makes them.
                    let length = FrameCount(length.div_ceil(packet) * packet);
                    (Break::Frozen(length), vec![Fault::Pause { length, kind: PauseKind::Frozen }])
                }
                2 => (Break::SsrcSameClock, vec![Fault::SsrcChange { to: None }]),
                3 => (
                    Break::SsrcOtherClock(step),
                    vec![Fault::SsrcChange { to: None }, Fault::Jump { frames: step }],
                ),
                _ => (Break::Sequence, vec![Fault::SequenceReset { to: SeqNo(dice.bits() as u16) }]),
            };
            self.breaks.push((at, what));
            self.config.impairments.events.extend(faults.into_iter().map(|fault| Event { at, fault }));
        }
    }

    /// `least` to `most` places of events, in order, 3.5 s apart, none near the start or the end. On packets' starts.
    fn places(&self, dice: &mut Dice, least: u64, most: u64) -> Vec<FrameIndex> {
        let rate = self.config.format.rate;
        let packet = u64::from(self.config.format.packet_frames);
        let mut places = Vec::new();
        let mut at = rate.frames_in(QUIET_START).0;
        for _ in 0..dice.between(least, most) {
            at += rate.frames_in(Nanos::from_millis(dice.between(0, 4_000) as i64)).0;
            at = at.div_ceil(packet) * packet;
            if at + rate.frames_in(Nanos::from_millis(3_500)).0 > self.frames().0 {
                break;
            }
            places.push(FrameIndex(at));
            at += rate.frames_in(Nanos::from_millis(3_500)).0;
        }
        places
    }
}

/// Encoding, rate, channels and packet time, within the payload of a packet.
fn draw_format(dice: &mut Dice) -> Format {
    let encoding = dice.pick(&[Encoding::L16, Encoding::L24]);
    let rate = dice.pick(&[
        SampleRate::HZ_48000,
        SampleRate::HZ_48000,
        SampleRate::HZ_48000,
        SampleRate::HZ_44100,
        SampleRate::HZ_96000,
    ]);
    // 125 µs, 250 µs, 333⅓ µs, 1 ms, 4 ms; counts at 44.1 kHz are those of 48 kHz (AES67-2018 §7.2).
    let twice = if rate == SampleRate::HZ_96000 { 2 } else { 1 };
    let packet_frames = dice.pick(&[6, 12, 16, 48, 48, 48, 48, 48, 48, 192, 192, 192]) * twice;
    let most = audyn_core::sender::MAX_PAYLOAD / (encoding.bytes() * packet_frames as usize);
    let channels = dice.pick(&[1, 1, 1, 2, 2, 2, 3, 4, 6, 8]).min(most as u8);
    let channels = ChannelCount::new(channels).expect("4 ms at 96 kHz is 1,152 bytes of one channel");
    Format { encoding, rate, channels, packet_frames }
}

fn draw_path(dice: &mut Dice, start: Timestamp<Mono>) -> Path {
    let buffer = if dice.percent(30) { dice.pick(&[5_000, 10_000, 21_333]) } else { 0 };
    let most = if buffer > 0 { 2_000 } else { 15_000 };
    Path {
        start,
        ppm: dice.between(0, 200) as i64 - 100,
        buffer: Nanos::from_micros(buffer),
        jitter: Nanos::from_micros(dice.between(0, most) as i64),
    }
}

/// Packets of 10 to 30 s, the less the more there is in a second: an unoptimised build has to get through all seeds.
fn draw_length(dice: &mut Dice, format: &Format) -> u64 {
    let packet = u64::from(format.packet_frames);
    let cost = 60 + packet * format.channels.get() as u64;
    let least = format.rate.frames_in(Nanos::from_secs(10)).0.div_ceil(packet);
    let drawn = format.rate.frames_in(Nanos::from_millis(dice.between(10_000, 30_000) as i64)).0 / packet;
    drawn.min(BUDGET / cost).max(least)
}

fn per_mille(of_thousand: u32) -> Chance {
    Chance::new(f64::from(of_thousand) / 1_000.0).expect("a part of a thousand is a probability")
}
