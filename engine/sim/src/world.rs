//! Virtual time: senders, the network and the capture thread's turns around one receiver.

use std::net::{Ipv4Addr, SocketAddr};

use audyn_core::flow::{FlowCounters, FlowFormat, Leg, LegReport, Receiver};
use audyn_core::sender::{self, SenderError, Spans, Truth};
use audyn_units::{FrameIndex, Mono, Nanos, SkewClass, Ssrc, Timestamp};

use crate::lane::AudioLane;
use crate::{LegFaults, MachineClock, Path, Rubbish, Stream, Tape};

/// A sender and what the tape is told of it.
#[derive(Debug)]
struct Talker {
    lane: AudioLane,
    ssrc: Ssrc,
    /// Its audio may be heard.
    wanted: bool,
    /// Where it sends from, where that is told.
    from: Option<SocketAddr>,
}

/// A receiver in a virtual network. Time passes only in [`World::run_until`] and [`World::run_out`].
#[derive(Debug)]
pub struct World {
    receiver: Receiver,
    tape: Tape,
    now: Timestamp<Mono>,
    grid: Nanos,
    base: FrameIndex,
    talkers: Vec<Talker>,
    rubbish: Option<Rubbish>,
    scratch: Vec<u8>,
    /// Times in which the reader does not run, in order.
    stalls: Vec<(Timestamp<Mono>, Timestamp<Mono>)>,
    clock: Option<MachineClock>,
    media_clock_offset: Option<u32>,
    /// When the receiver ends and when another begins.
    restart: Option<(Timestamp<Mono>, Timestamp<Mono>)>,
    /// What receivers before this one counted.
    before: FlowCounters,
}

impl World {
    /// A network without senders, at `now`, whose reader turns every `grid`. The first frame received stands at `base`.
    pub fn new(format: FlowFormat, base: FrameIndex, now: Timestamp<Mono>, grid: Nanos) -> Self {
        Self::around(Receiver::new(format, base), base, now, grid)
    }

    /// The same around a receiver of two legs.
    pub fn with_second_leg(
        format: FlowFormat,
        base: FrameIndex,
        now: Timestamp<Mono>,
        grid: Nanos,
        skew: SkewClass,
    ) -> Self {
        Self::around(Receiver::with_second_leg(format, base, skew), base, now, grid)
    }

    fn around(receiver: Receiver, base: FrameIndex, now: Timestamp<Mono>, grid: Nanos) -> Self {
        let format = *receiver.format();
        Self {
            receiver,
            tape: Tape::new(format.encoding, format.channels),
            now,
            grid,
            base,
            talkers: Vec::new(),
            rubbish: None,
            scratch: Vec::new(),
            stalls: Vec::new(),
            clock: None,
            media_clock_offset: None,
            restart: None,
            before: FlowCounters::default(),
        }
    }

    /// Adds a sender whose audio may be recorded; returns its number, for [`World::truth`].
    pub fn add_sender(
        &mut self,
        config: sender::Config,
        stream: Stream,
        path: Path,
    ) -> Result<usize, SenderError> {
        self.add(config, stream, path, true, LegFaults::default())
    }

    /// Adds one leg of a sender: the same sender is added once for each.
    pub fn add_leg(
        &mut self,
        config: sender::Config,
        stream: Stream,
        path: Path,
        faults: LegFaults,
    ) -> Result<usize, SenderError> {
        self.add(config, stream, path, true, faults)
    }

    /// Adds a sender on one leg of which no frame may ever be heard.
    pub fn add_stranger_on(
        &mut self,
        leg: Leg,
        config: sender::Config,
        stream: Stream,
        path: Path,
    ) -> Result<usize, SenderError> {
        self.add(config, stream, path, false, LegFaults { leg, ..LegFaults::default() })
    }

    /// Adds a sender of which no frame may ever be heard.
    pub fn add_stranger(
        &mut self,
        config: sender::Config,
        stream: Stream,
        path: Path,
    ) -> Result<usize, SenderError> {
        self.add(config, stream, path, false, LegFaults::default())
    }

    fn add(
        &mut self,
        config: sender::Config,
        stream: Stream,
        path: Path,
        wanted: bool,
        leg: LegFaults,
    ) -> Result<usize, SenderError> {
        let ssrc = config.ssrc;
        let lane = AudioLane::new(config, stream, path, leg)?;
        self.talkers.push(Talker { lane, ssrc, wanted, from: None });
        Ok(self.talkers.len() - 1)
    }

    /// Tells the receiver where datagrams come from: every sender that has been added has an address of its own.
    pub fn tell_addresses(&mut self) {
        for (number, talker) in (1u8..).zip(&mut self.talkers) {
            talker.from = Some((Ipv4Addr::new(192, 0, 2, number), 5004).into());
        }
    }

    /// Mixes rubbish in.
    pub fn add_rubbish(&mut self, rubbish: Rubbish) {
        self.rubbish = Some(rubbish);
    }

    /// The reader does not run from `from` for `length`. What comes meanwhile waits in the kernel with its arrival time.
    pub fn stall(&mut self, from: Timestamp<Mono>, length: Nanos) {
        self.stalls.push((from, from + length));
    }

    /// Gives the machine a clock, and the receiver the sender's media clock offset.
    pub fn set_clock(&mut self, clock: MachineClock, media_clock_offset: Option<u32>) {
        self.clock = Some(clock);
        self.media_clock_offset = media_clock_offset;
        self.receiver =
            Receiver::new(*self.receiver.format(), self.base).with_media_clock(media_clock_offset);
    }

    /// The receiver ends at `from` and a new one begins after `length`. What comes meanwhile is lost.
    pub fn restart(&mut self, from: Timestamp<Mono>, length: Nanos) {
        self.restart = Some((from, from + length));
    }

    /// Changes the reader's cadence.
    pub fn set_grid(&mut self, grid: Nanos) {
        self.grid = grid;
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp<Mono> {
        self.now
    }

    /// What was heard.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The receiver.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What a sender really did.
    pub fn truth(&self, sender: usize) -> &Truth {
        self.talkers[sender].lane.truth()
    }

    /// What of a sender's audio was not lost on its way.
    pub fn delivered(&self, sender: usize) -> &Spans {
        self.talkers[sender].lane.delivered()
    }

    /// What the receiver knows of a leg.
    pub fn leg(&self, leg: Leg) -> LegReport {
        self.receiver.leg(leg, self.now)
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: Timestamp<Mono>) {
        while self.now < end {
            self.turn();
        }
    }

    /// Lets time pass until every sender has ended and all has arrived.
    pub fn run_out(&mut self) {
        loop {
            let (talkers, rubbish) = (&mut self.talkers, &self.rubbish);
            let talking = talkers.iter_mut().any(|talker| talker.lane.peek().is_some());
            if !talking && rubbish.as_ref().and_then(Rubbish::peek).is_none() {
                return;
            }
            self.turn();
        }
    }

    /// Ends the recording: gives what waits, and checks the sums. Returns the tape and the counters.
    pub fn finish(mut self) -> (Tape, FlowCounters) {
        self.receiver.flush(&mut self.tape);
        let (tape, counters) = (self.tape, *self.receiver.counters());
        let given = tape.written().0 + tape.filled().0;
        assert_eq!(tape.first().unwrap_or(self.base), self.base, "the first frame stands at the base");
        assert_eq!(self.receiver.position().since(self.base).0, given, "written + filled = elapsed");
        assert_eq!(counters.lost_frames, tape.filled().0, "counted and filled");
        assert_eq!(counters.gaps, tape.gaps().len() as u64 + tape.open_gaps(), "counted and closed");
        let ledger: u64 = tape.gaps().iter().map(|gap| gap.frames.0).sum();
        assert_eq!(ledger + tape.open_silence().0, tape.filled().0, "ledger and silence");
        (tape, counters)
    }

    /// Ends a recording whose receiver had a clock: gives what waits, and checks the sums. Returns the tape, and the counters of all
    /// receivers together.
    pub fn finish_timed(mut self) -> (Tape, FlowCounters) {
        self.receiver.flush(&mut self.tape);
        let counters = sum(self.before, self.receiver.counters());
        let tape = self.tape;
        let stretches: u64 = tape.stretches().iter().map(|stretch| stretch.frames.0).sum();
        assert_eq!(stretches, tape.written().0 + tape.filled().0, "all that was given is of some stretch");
        assert_eq!(counters.lost_frames, tape.filled().0, "counted and filled");
        assert_eq!(counters.gaps, tape.gaps().len() as u64 + tape.open_gaps(), "counted and closed");
        let ledger: u64 = tape.gaps().iter().map(|gap| gap.frames.0).sum();
        assert_eq!(ledger + tape.open_silence().0, tape.filled().0, "ledger and silence");
        let last = tape.stretches().last().expect("something was heard");
        assert_eq!(
            self.receiver.position(),
            last.placed.position + last.frames,
            "written + filled = elapsed"
        );
        (tape, counters)
    }

    /// One turn of the reader: all that has arrived, then the time.
    fn turn(&mut self) {
        self.now += self.grid;
        let now = self.now;
        if let Some((from, until)) = self.restart
            && from <= now
        {
            if now < until {
                while let Some((_, which)) = self.earliest(now) {
                    self.lose(which);
                }
                return;
            }
            self.restart = None;
            self.before = sum(self.before, self.receiver.counters());
            self.receiver =
                Receiver::new(*self.receiver.format(), self.base).with_media_clock(self.media_clock_offset);
            self.tape.restart();
        }
        if self.stalls.iter().any(|&(from, until)| from <= now && now < until) {
            return;
        }
        if let Some(clock) = &self.clock {
            self.receiver.on_clock(clock.reading(now), &mut self.tape);
        }
        while let Some((arrival, which)) = self.earliest(now) {
            let (receiver, tape) = (&mut self.receiver, &mut self.tape);
            match which {
                Some(talker) => {
                    let Talker { lane, ssrc, wanted, from } = &mut self.talkers[talker];
                    if *wanted {
                        tape.learn(lane.stream(), *ssrc, lane.truth(), lane.horizon());
                    }
                    let leg = lane.leg();
                    lane.pop(|datagram| match *from {
                        None => receiver.on_leg_packet(leg, arrival, datagram, tape),
                        Some(from) => {
                            receiver.on_packet_from(leg, arrival, &from, datagram, tape);
                        }
                    });
                }
                None => {
                    if let Some(rubbish) = &mut self.rubbish {
                        rubbish.pop(&mut self.scratch);
                        receiver.on_packet(arrival, &self.scratch, tape);
                    }
                }
            }
        }
        self.receiver.on_time(now, &mut self.tape);
    }

    /// A datagram comes and nobody is there.
    fn lose(&mut self, which: Option<usize>) {
        match (which, &mut self.rubbish) {
            (Some(talker), _) => {
                let Talker { lane, ssrc, wanted, .. } = &mut self.talkers[talker];
                if *wanted {
                    self.tape.learn(lane.stream(), *ssrc, lane.truth(), lane.horizon());
                }
                lane.pop(|_| {});
            }
            (None, Some(rubbish)) => rubbish.pop(&mut self.scratch),
            (None, None) => {}
        }
    }

    /// The earliest arrival up to `now`, and the talker that it comes from; none for rubbish.
    fn earliest(&mut self, now: Timestamp<Mono>) -> Option<(Timestamp<Mono>, Option<usize>)> {
        let mut first = self.rubbish.as_ref().and_then(Rubbish::peek).map(|arrival| (arrival, None));
        for (number, talker) in self.talkers.iter_mut().enumerate() {
            if let Some(arrival) = talker.lane.peek()
                && first.is_none_or(|(earliest, _)| arrival < earliest)
            {
                first = Some((arrival, Some(number)));
            }
        }
        first.filter(|(arrival, _)| *arrival <= now)
    }
}

/// The counters of two receivers that followed each other, where the tests look at them.
fn sum(one: FlowCounters, other: &FlowCounters) -> FlowCounters {
    FlowCounters {
        lost_frames: one.lost_frames + other.lost_frames,
        gaps: one.gaps + other.gaps,
        ssrc_changes: one.ssrc_changes + other.ssrc_changes,
        late: one.late + other.late,
        ..*other
    }
}
