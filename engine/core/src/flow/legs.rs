//! The legs of a flow (ST 2022-7): whose packet is whose, and what was counted on each.
//!
//! Owns: for each leg, its SSRC, its place in the flow, its counters and whether it carries the same stream as the other.
//! Never: places a frame; the receiver does, as if all came by one way.
//!
//! A packet belongs to the flow if its sequence number and timestamp lie as far from the flow's newest packet (or from its
//! own leg's newest) as each other says: both legs are one stream by their counters, whatever their SSRCs are. One leg has
//! one SSRC at a time.
//!
//! ```text
//!             in step with the flow                   other counters, while the other leg goes on
//!  Waiting ───────────────────────────► Same ──────────────────────────────────────────────────► in doubt
//!                                       ▲  │ ▲                       in step again                    │ it stays so for `hold`
//!           in step again, or silent    │  │ └── 100 packets alike ──┐                                │
//!           for 1 s and judged anew     │  └─ 3 packets with other ──► Other: not recorded            ▼
//!                                       └───── audio than the first's ─────────────────────────── Apart: not recorded
//! ```
//!
//! What breaks the flow's timeline (another SSRC, a jump) waits while the other leg goes on with the old one, for at most
//! the window: a sender that restarts does so on both legs, a leg that was plugged elsewhere does so alone.
//!
//! For how long a hole waits is told in `patience`. What stands behind it is held in memory from the beginning: the reorder window is a ring of
//! `4 × channels × F` bytes and a bit a frame, where `F` is the frames of the wait ([`Legs::window`]) and 60 ms, with two legs 200 ms, or of 12
//! of the longest packets if that is more, rounded up to a power of two.
//!
//! # Rejected
//!
//! - *The leg that has most packets is right*: a stray stream is often the complete one.
//! - *A leg that differs steps in when the other is dead*: silence that is ledgered is better than another programme.
//! - *No look at the audio, since counters vouch for it*: two streams of one device often have the same timestamps, and
//!   sequence numbers that begin at 0 together.

use audyn_units::{
    FrameCount, FrameIndex, Mono, Nanos, RtpTime, SampleRate, SeqNo, SkewClass, Ssrc, Timestamp,
};
use audyn_wire::rtp::Header;

use super::TAKEOVER;
use super::candidate::Waiting;
use super::history::{History, SPAN};
use super::numbers::{Number, Numbers};
use super::patience::Patience;

/// What the window is longer than the skew: jitter of each leg.
const MARGIN: Nanos = Nanos::from_millis(20);

/// A leg may lag by this much, whatever its class, and is still known as the flow's: its packets count as late.
const KNOWN_LAG: Nanos = Nanos::from_millis(700);

/// So many packets with other audio than the other leg's, and the leg carries another stream.
const UNLIKE: u8 = 3;

/// So many alike, and it carries the same again.
const ALIKE: u8 = 100;

/// A leg that was apart and then silent for so long is judged anew.
const JUDGED_ANEW: Nanos = Nanos::from_secs(1);

/// No packet for this long and a leg counts as silent.
const SILENT_AFTER: Nanos = Nanos::from_millis(250);

/// Time over which the shortest lag of a leg is told.
const LAG_WINDOW: Nanos = Nanos::from_secs(1);

/// Which leg of a flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// The first, or only one.
    #[default]
    First,
    /// The one that protects it.
    Second,
}

impl Leg {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// 0 or 1.
    pub const fn index(self) -> usize {
        self as usize
    }

    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// What was counted on a leg since the flow was opened, in packets unless the name says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegCounters {
    /// Of the flow, repeats and late ones among them.
    pub received: u64,
    /// Bytes of those, RTP header included.
    pub bytes: u64,
    /// Brought audio that had not come before.
    pub used: u64,
    /// Missing on this leg, by its sequence numbers; known when a later one comes, and while nothing comes on the leg by what the other brings.
    /// Not while it carries another stream: what comes is foreign then.
    pub lost: u64,
    /// Came so long after the newest that they could not have filled a hole.
    pub late: u64,
    /// Came after a later one of this leg.
    pub reordered: u64,
    /// Came again on this leg.
    pub duplicated: u64,
    /// Valid, but of another stream.
    pub foreign: u64,
    /// Had the counters of a packet of the other leg, and other audio.
    pub differing: u64,
    /// Refused for their form.
    pub refused: u64,
}

/// What a leg does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegState {
    /// Nothing of the flow has come on it.
    Waiting,
    /// The flow comes on it.
    Receiving,
    /// The flow came on it and has stopped.
    Silent,
    /// It carries another stream than the other leg; nothing of it is taken.
    Differs,
}

/// What is known of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegReport {
    /// What it does.
    pub state: LegState,
    /// The SSRC on it, once known.
    pub ssrc: Option<Ssrc>,
    /// What was counted.
    pub counters: LegCounters,
    /// How far it lies behind the earlier of both, at least, over the last second or so.
    pub behind: Nanos,
}

/// Whether a leg carries what the other does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing stands against it.
    Same,
    /// Its counters are another stream's.
    Apart,
    /// Its counters are the flow's, its audio is not.
    Other,
}

/// Counters that a packet is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference {
    pub(super) seq: SeqNo,
    pub(super) timestamp: RtpTime,
    pub(super) at: FrameIndex,
    pub(super) frames: u32,
}

impl Reference {
    fn end(&self) -> FrameIndex {
        self.at + FrameCount(u64::from(self.frames))
    }

    /// Where a packet stands whose two counters tell the same distance from here, and the distance in packets.
    pub(super) fn place(&self, header: &Header) -> Option<(FrameIndex, i16)> {
        let steps = header.sequence.distance_from(self.seq);
        let ticks = i64::from(header.timestamp.distance_from(self.timestamp));
        (ticks == i64::from(steps) * i64::from(self.frames))
            .then(|| (FrameIndex(self.at.0.saturating_add_signed(ticks)), steps))
    }
}

/// The flow, as a packet finds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) ssrc: Ssrc,
    /// Its newest packet.
    pub(super) newest: Reference,
    /// The counters are too old to vouch for each other.
    pub(super) stale: bool,
    /// The furthest position that the clock allows.
    pub(super) latest: FrameIndex,
    /// The packet counts as before the last break.
    pub(super) former: bool,
    /// It goes on from packets of its SSRC that wait.
    pub(super) awaited: bool,
}

/// What a packet of one of two legs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sorted {
    /// What the receiver makes of it, as of any packet.
    Plain,
    /// The flow's, at this place, by its own leg's counters.
    At(FrameIndex),
    /// The flow's, which has another SSRC from the packets on that wait: on this leg nothing comes of the former one any more, and the
    /// counters go on.
    Follows,
    /// Of before the last break: too late.
    Former,
    /// The timeline broke on this leg, and the other goes on: it waits.
    Broken,
    /// The timeline broke on this leg, and the other is silent: as `Plain`, but if packets wait that it goes on from, with them.
    Alone,
    /// Another stream's; it has been counted.
    Foreign,
}

#[derive(Debug)]
struct LegBook {
    counters: LegCounters,
    ssrc: Option<Ssrc>,
    /// Its newest packet of the flow as it stands.
    newest: Option<Reference>,
    /// That packet's number.
    number: Number,
    history: History,
    /// The last packet of the flow.
    in_step: Option<Timestamp<Mono>>,
    /// The last packet of any stream.
    heard: Option<Timestamp<Mono>>,
    /// Since when only other counters come while the other leg goes on.
    out_since: Option<Timestamp<Mono>>,
    standing: Standing,
    /// It has carried another stream since its newest packet of the flow.
    strayed: bool,
    unlike: u8,
    alike: u8,
    /// Packets behind its newest that are counted as lost already, since the other leg brought them.
    missed: u64,
    /// The same of all times.
    missed_ever: u64,
    /// The shortest lag in this window and the one before, and when this window began.
    lag: (Nanos, Nanos, Timestamp<Mono>),
}

/// The legs of one flow. Allocates in [`Legs::new`] only.
#[derive(Debug)]
pub(super) struct Legs {
    rate: SampleRate,
    /// How long a hole waits.
    window: Nanos,
    each: [LegBook; 2],
    /// The leg that the flow was anchored on: where audio differs, the other is wrong.
    home: Leg,
    /// The number of the first packet since then, and when it came, by the time in which packets came.
    origin: Option<(Number, Nanos)>,
    numbers: Numbers,
    /// A digest of the payload of each of the last [`SPAN`] sequence numbers; empty with one leg.
    digests: Vec<u32>,
    /// A leg that was found to carry another stream just now.
    news: Option<Leg>,
    patience: Patience,
}

impl Legs {
    /// One leg, whose holes wait for `reorder`; two with a skew class.
    pub(super) fn new(rate: SampleRate, reorder: Nanos, skew: Option<SkewClass>) -> Self {
        let book = || LegBook {
            counters: LegCounters::default(),
            ssrc: None,
            newest: None,
            number: Number::default(),
            history: History::new(SeqNo(0)),
            in_step: None,
            heard: None,
            out_since: None,
            standing: Standing::Same,
            strayed: false,
            unlike: 0,
            alike: 0,
            missed: 0,
            missed_ever: 0,
            lag: (Nanos::ZERO, Nanos::ZERO, Timestamp::ZERO),
        };
        let window = skew.map_or(reorder, |class| reorder.max(class.skew() + MARGIN));
        Self {
            rate,
            window,
            each: [book(), book()],
            home: Leg::First,
            origin: None,
            numbers: Numbers::default(),
            digests: if skew.is_some() { vec![0; SPAN] } else { Vec::new() },
            news: None,
            patience: Patience::new(window),
        }
    }

    pub(super) fn are_two(&self) -> bool {
        !self.digests.is_empty()
    }

    /// How long a hole waits for its packets.
    pub(super) fn window(&self) -> Nanos {
        self.window
    }

    /// Up to where nothing is waited for any more, of holes before `until`, which frames alone would give up: each leg that lives has passed it
    /// by `reorder`, or had the time of its class to.
    pub(super) fn awaited_from(&self, until: FrameIndex, reorder: FrameCount) -> FrameIndex {
        if !self.are_two() {
            return until;
        }
        let passed = Leg::ALL.into_iter().filter(|&leg| self.patience.lives(leg)).filter_map(|leg| {
            let newest = self.each[leg.index()].newest?;
            Some(newest.end().0.saturating_sub(reorder.0))
        });
        passed.min().map_or(until, |passed| until.min(FrameIndex(passed).max(self.patience.settled())))
    }

    /// What has waited is counted from here on, in the order in which it came.
    pub(super) fn replay(&mut self, waited: &[Waiting]) {
        if let Some(last) = waited.last().filter(|_| self.are_two()) {
            self.patience.replay(last.arrival);
        }
    }

    /// Whether both legs were alive when the flow was last heard.
    pub(super) fn both_live(&self) -> bool {
        self.are_two() && Leg::ALL.into_iter().all(|leg| self.patience.lives(leg))
    }

    /// By how much one leg may be later than the arrival clock, which follows the earlier one; nothing with one leg.
    pub(super) fn apart(&self) -> Nanos {
        if self.are_two() { self.window } else { Nanos::ZERO }
    }

    /// How long packets in doubt may wait for the other leg to break as well; no time at all with one leg.
    pub(super) fn hold(&self) -> Nanos {
        if self.are_two() { self.window + TAKEOVER * 2 } else { Nanos::ZERO }
    }

    /// How many places late a packet may be; `single` with one leg.
    pub(super) fn misorder(&self, single: i16, packet_frames: u32) -> i16 {
        if !self.are_two() {
            return single;
        }
        let packets = self.rate.frames_in(KNOWN_LAG).0 / u64::from(packet_frames.max(1));
        single + packets.min(SPAN as u64 / 2) as i16
    }

    /// Whether no leg goes on with the flow as it stands.
    pub(super) fn are_quiet(&self, now: Timestamp<Mono>) -> bool {
        !self.are_two() || !Leg::ALL.into_iter().any(|leg| self.is_live(leg, now))
    }

    /// Whether one of two legs goes on with the flow as it stands.
    pub(super) fn one_goes_on(&self, now: Timestamp<Mono>) -> bool {
        self.are_two() && !self.are_quiet(now)
    }

    /// When the last packet of the flow came, on whichever leg.
    pub(super) fn last_in_step(&self) -> Option<Timestamp<Mono>> {
        self.each.iter().filter_map(|book| book.in_step).max()
    }

    /// The SSRC on a leg, once known; of two legs only.
    pub(super) fn ssrc(&self, leg: Leg) -> Option<Ssrc> {
        self.each[leg.index()].ssrc
    }

    /// A leg that was found to carry another stream since this was asked last.
    pub(super) fn take_news(&mut self) -> Option<Leg> {
        self.news.take()
    }

    pub(super) fn refused(&mut self, leg: Leg) {
        self.each[leg.index()].counters.refused += 1;
    }

    pub(super) fn foreign(&mut self, leg: Leg) {
        self.each[leg.index()].counters.foreign += 1;
    }

    pub(super) fn used(&mut self, leg: Leg) {
        self.each[leg.index()].counters.used += 1;
    }

    /// Counts a packet of before the last break.
    pub(super) fn former(&mut self, leg: Leg) {
        let counters = &mut self.each[leg.index()].counters;
        counters.received += 1;
        counters.late += 1;
    }

    pub(super) fn report(&self, leg: Leg, now: Timestamp<Mono>) -> LegReport {
        let book = &self.each[leg.index()];
        let state = match book.in_step {
            _ if book.standing != Standing::Same => LegState::Differs,
            None => LegState::Waiting,
            Some(last) if now - last < SILENT_AFTER => LegState::Receiving,
            Some(_) => LegState::Silent,
        };
        LegReport { state, ssrc: book.ssrc, counters: book.counters, behind: book.lag.0.min(book.lag.1) }
    }

    /// Counts what a silent leg has missed of what the other one brings: it is missed, whether or not the leg ever comes back. What
    /// may still come by its skew counts for nothing yet. Both the silence and what is missed are told by the packets that came: while the
    /// sender pauses, or what both legs bring is held up, no leg is silent and nothing is missed. Nor is it where something else comes: a
    /// leg that carries another stream brings foreign packets, and its own are not missing until it is back.
    pub(super) fn count_missed(&mut self, now: Timestamp<Mono>) {
        if !self.are_two() {
            return;
        }
        for leg in Leg::ALL {
            let Some(other) = self.each[leg.other().index()].newest else { continue };
            let book = &self.each[leg.index()];
            if book.strayed || book.heard.is_some_and(|heard| now - heard < SILENT_AFTER) {
                continue;
            }
            // One of which nothing has come yet may lag by more than its class bears, and says so when it comes.
            let (had, silence, more_lag) = match (book.newest, self.patience.silence(leg), self.origin) {
                (Some(_), Some(silence), _) => (book.number.at, silence, Nanos::ZERO),
                (None, _, Some((first, since))) => {
                    (first.at - 1, self.patience.awake() - since, (KNOWN_LAG - self.window).max(Nanos::ZERO))
                }
                _ => continue,
            };
            if silence < self.window + more_lag + SILENT_AFTER {
                continue;
            }
            let underway = self.rate.frames_in(more_lag).0 / u64::from(other.frames.max(1));
            let missing = self.patience.settled_number() - had - underway as i64;
            let book = &mut self.each[leg.index()];
            let more = u64::try_from(missing).unwrap_or(0).saturating_sub(book.missed);
            book.counters.lost += more;
            book.missed += more;
            book.missed_ever += more;
        }
    }

    /// Packets that [`Self::count_missed`] has counted on a leg since the flow was opened, and the frames of each.
    pub(super) fn missed(&self, leg: Leg) -> (u64, u32) {
        let frames = self.each[leg.other().index()].newest.map_or(0, |newest| newest.frames);
        (self.each[leg.index()].missed_ever, frames)
    }

    /// Judges a packet of one of two legs. One that is the flow's gets the flow's SSRC.
    pub(super) fn sort(
        &mut self,
        leg: Leg,
        arrival: Timestamp<Mono>,
        header: &mut Header,
        payload: &[u8],
        flow: &Flow,
        seen: &History,
    ) -> Sorted {
        let misorder = self.misorder(0, flow.newest.frames).saturating_add(200);
        let other_live = self.is_live(leg.other(), arrival);
        let hold = self.hold();
        let book = &mut self.each[leg.index()];
        let before = book.heard.replace(arrival);

        // One SSRC at a time: another may take its place on this leg only when it is silent.
        let known = header.ssrc == flow.ssrc || book.ssrc == Some(header.ssrc);
        let free = book.ssrc.is_none() || book.in_step.is_none_or(|last| arrival - last >= TAKEOVER);
        let by_flow = flow
            .newest
            .place(header)
            .filter(|&(at, steps)| !flow.stale && at <= flow.latest && steps >= -misorder);
        let behind = header.sequence.distance_from(flow.newest.seq) <= 0;
        let by_own = book
            .newest
            .and_then(|newest| newest.place(header))
            .filter(|&(at, steps)| behind && at < flow.newest.at && steps.unsigned_abs() <= misorder as u16);
        if (by_flow.is_some() || by_own.is_some()) && (known || free) {
            let follows = !known && flow.awaited && by_flow.is_some() && !flow.former;
            book.ssrc = Some(header.ssrc);
            if !follows {
                header.ssrc = flow.ssrc;
            }
            if book.standing == Standing::Other {
                book.counters.foreign += 1;
                if seen.has(header.sequence) {
                    self.compare(leg, header.sequence, payload);
                }
                return Sorted::Foreign;
            }
            book.standing = Standing::Same;
            book.in_step = Some(arrival);
            book.out_since = None;
            return match (by_flow, by_own) {
                _ if follows => Sorted::Follows,
                (None, Some((at, _))) if !flow.former => Sorted::At(at),
                _ => Sorted::Plain,
            };
        }
        if flow.former {
            return Sorted::Former;
        }
        if book.standing != Standing::Same {
            if before.is_some_and(|before| arrival - before < JUDGED_ANEW) {
                book.counters.foreign += 1;
                return Sorted::Foreign;
            }
            book.standing = Standing::Same;
        }
        if known {
            header.ssrc = flow.ssrc;
        }
        if !other_live {
            book.out_since = None;
            return Sorted::Alone;
        }
        if arrival - *book.out_since.get_or_insert(arrival) > hold + TAKEOVER {
            book.standing = Standing::Apart;
            book.strayed = true;
            book.out_since = None;
            book.counters.foreign += 1;
            self.news = Some(leg);
            return Sorted::Foreign;
        }
        Sorted::Broken
    }

    /// Counts a packet of the flow that stands at `place`. `newest` is the end of the flow's furthest one, `arriving` what should
    /// be arriving now. Returns whether it came again on this leg, and whether after a later one of this leg.
    pub(super) fn count(
        &mut self,
        leg: Leg,
        arrival: Timestamp<Mono>,
        place: Reference,
        bytes: usize,
        newest: FrameIndex,
        arriving: FrameIndex,
    ) -> (bool, bool) {
        let two = self.are_two();
        let number = self.numbers.of(&place);
        if two {
            self.patience.packet(leg, arrival, newest, self.numbers.furthest());
        }
        let window = self.rate.frames_in(self.window);
        let settled = self.patience.settled();
        let lag = self.rate.duration(arriving.since(place.at));
        let book = &mut self.each[leg.index()];
        let counters = &mut book.counters;
        counters.received += 1;
        counters.bytes += bytes as u64;
        book.in_step = Some(arrival);
        if newest.since(place.end()) > window && (!two || place.end() <= settled) {
            counters.late += 1;
        }
        if arrival - book.lag.2 >= LAG_WINDOW {
            book.lag = (lag, book.lag.0, arrival);
        }
        book.lag.0 = book.lag.0.min(lag);
        self.origin.get_or_insert((number, self.patience.awake()));

        let before = std::mem::replace(&mut book.number, number);
        let Some(newest) = &mut book.newest else {
            book.newest = Some(place);
            book.missed = 0;
            book.strayed = false;
            book.history = History::new(place.seq);
            return (false, false);
        };
        if number.run != before.run || std::mem::take(&mut book.strayed) {
            // The sequence numbers go on elsewhere, or something else came meanwhile: what it had missed until then is all that can be told.
            book.history = History::new(place.seq);
            book.missed = 0;
            *newest = place;
            return (false, false);
        }
        let steps = number.at - before.at;
        let behind = steps <= 0;
        if behind {
            book.number = before;
        } else {
            let missing = steps.unsigned_abs() - 1;
            counters.lost = (counters.lost + missing).saturating_sub(std::mem::take(&mut book.missed));
            *newest = place;
        }
        if steps >= SPAN as i64 {
            book.history = History::new(place.seq);
            return (false, false);
        }
        let again = book.history.note(place.seq);
        if again {
            counters.duplicated += 1;
        } else if behind {
            counters.reordered += 1;
            counters.lost = counters.lost.saturating_sub(1);
        }
        (again, behind)
    }

    /// Keeps the digest of a packet that came first, or holds a copy's audio against it.
    pub(super) fn audio(&mut self, leg: Leg, seq: SeqNo, payload: &[u8], copy: bool) {
        if !self.are_two() {
            return;
        }
        if copy {
            self.compare(leg, seq, payload);
        } else {
            self.digests[place(seq)] = digest(payload);
        }
    }

    /// The flow stands on a new anchor, found on `leg`.
    pub(super) fn anchored(&mut self, leg: Leg) {
        self.home = leg;
        self.patience.anchored();
        self.numbers.anchored();
        self.origin = None;
        for book in &mut self.each {
            book.ssrc = None;
            book.newest = None;
            book.in_step = None;
            book.out_since = None;
            book.unlike = 0;
            book.alike = 0;
            book.missed = 0;
            if book.standing == Standing::Other {
                book.standing = Standing::Same;
                book.strayed = false;
            }
        }
    }

    fn is_live(&self, leg: Leg, now: Timestamp<Mono>) -> bool {
        let book = &self.each[leg.index()];
        book.in_step.is_some_and(|last| now - last < TAKEOVER)
    }

    /// Holds a copy's audio against what came first. Of two legs that differ, the one that the flow isn't anchored on is wrong.
    fn compare(&mut self, leg: Leg, seq: SeqNo, payload: &[u8]) {
        let same = self.digests[place(seq)] == digest(payload);
        if !same {
            self.each[leg.index()].counters.differing += 1;
        }
        // Digital silence is alike on any two streams.
        if same && payload.iter().all(|&byte| byte == 0) {
            return;
        }
        let suspect = self.home.other();
        let book = &mut self.each[suspect.index()];
        if same {
            book.unlike = 0;
            book.alike = book.alike.saturating_add(1);
            if book.standing == Standing::Other && book.alike >= ALIKE {
                book.standing = Standing::Same;
            }
        } else {
            book.alike = 0;
            book.unlike = book.unlike.saturating_add(1);
            if book.standing == Standing::Same && book.unlike >= UNLIKE {
                book.standing = Standing::Other;
                book.strayed = true;
                self.news = Some(suspect);
            }
        }
    }
}

fn place(seq: SeqNo) -> usize {
    usize::from(seq.0) % SPAN
}

/// 32 bits of a payload: equal for equal ones, and else with one chance in 2³² (not against who means harm).
fn digest(payload: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = payload.as_chunks::<8>();
    let mut sum = payload.len() as u64;
    for word in words {
        sum = (sum.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(ODD);
    }
    for &byte in rest {
        sum = (sum.rotate_left(23) ^ u64::from(byte)).wrapping_mul(ODD);
    }
    (sum >> 32) as u32
}
