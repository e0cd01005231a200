//! What a network engineer asks of one leg: how much came, what did not, how evenly, from where and by which way.
//!
//! Owns: counts, jitter, TS-DF, intervals and link offset of the valid packets of one leg, since the start and over the last
//! minute. Never: an opinion about where audio belongs (the receiver's), a clock, allocation after [`LegStats::new`].
//!
//! # What the figures mean
//!
//! - *packets*: valid packets of the leg's source, copies and stragglers among them; *lost*: sequence numbers that never came;
//!   RFC 3550 A.3 counts copies as received, so its own difference, [`LegStats::rfc_lost`], may be less, and even negative. What a silent leg
//!   misses is lost as soon as the other leg tells of it ([`LegStats::note_missed`]); of a leg alone nobody knows until it goes on.
//! - *late* is what the receiver says: the place had been filled. A late packet is not lost.
//! - *jitter* is RFC 3550 §6.4.1, in nanoseconds and in units of the timestamp, over all packets but copies, in the order in which
//!   they came. Where timestamps break (a jump, another source) no difference is taken.
//! - *intervals*: between neighbours as they came, copies included.
//! - *link offset*: arrival less the media time that the timestamp means; only where the caller knows the clock.
//! - A minute is sixty seconds of the arrival clock, the one at hand included.

mod histogram;
mod recent;
mod sequence;
mod tsdf;

use core::net::IpAddr;

use audyn_units::{FrameCount, Mono, Nanos, RtpTime, SampleRate, Ssrc, Tai, Timestamp};
use audyn_wire::rtp::Header;

pub use histogram::{INTERVAL_EDGES, INTERVALS, Intervals};
pub use tsdf::TS_DF_WINDOW;

use super::TAKEOVER;
use super::leap::{is_leap, is_pause};
use recent::{Recent, Slot};
use sequence::{Place, Sequence};
use tsdf::{TsDf, span};

/// A timestamp that does not follow from its neighbour's and lies further than this from what the arrival says has jumped; so has one
/// that leaps over frames of which no packet is missing.
const JUMP: Nanos = Nanos::from_millis(250);

/// A valid packet as a leg saw it.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// When it came. Captures may say times that go back; sockets never do.
    pub arrival: Timestamp<Mono>,
    /// Its RTP header.
    pub header: Header,
    /// Frames in its payload, at least 1.
    pub frames: u32,
    /// Bytes of the datagram: RTP header and payload.
    pub bytes: usize,
    /// What the network said of it.
    pub marks: Marks,
    /// Arrival less media time, where a clock tells.
    pub link_offset: Option<Nanos>,
}

/// Arrival less the media time that a timestamp means, to the nanosecond (RFC 7273 §5.2: the timestamp is the reference clock
/// in frames plus `media_offset`, modulo 2³²). Right within half a turn of the timestamp, 12 hours at 48 kHz.
pub fn link_offset(
    arrival: Timestamp<Tai>,
    media_offset: u32,
    timestamp: RtpTime,
    rate: SampleRate,
) -> Nanos {
    let since_epoch = Nanos(arrival.as_nanos());
    let frames = rate.frames_in(since_epoch);
    let part = since_epoch - rate.duration(frames);
    let ticks = RtpTime((frames.0 as u32).wrapping_add(media_offset)).distance_from(timestamp);
    part + span(ticks, rate)
}

/// What the network headers said. None is "not told", never a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// The sender's address.
    pub source: Option<IpAddr>,
    /// Differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
    /// Hops that were left: IPv4's TTL or IPv6's hop limit.
    pub ttl: Option<u8>,
}

/// The least and the greatest of something; none before there was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent(pub Option<(Nanos, Nanos)>);

impl Extent {
    fn add(&mut self, value: Nanos) {
        *self = self.joined(Self(Some((value, value))));
    }

    fn joined(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some((a, b)), Some((c, d))) => Self(Some((a.min(c), b.max(d)))),
            (one, two) => Self(one.or(two)),
        }
    }

    /// The least.
    pub fn least(self) -> Option<Nanos> {
        self.0.map(|(least, _)| least)
    }

    /// The greatest.
    pub fn greatest(self) -> Option<Nanos> {
        self.0.map(|(_, greatest)| greatest)
    }
}

/// Figures over a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegFigures {
    /// Valid packets of the source, copies and late ones among them.
    pub packets: u64,
    /// Bytes of those, RTP headers included.
    pub bytes: u64,
    /// Sequence numbers that did not come.
    pub lost: u64,
    /// Frames that did not come.
    pub lost_frames: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after the receiver had filled their place.
    pub late: u64,
    /// Greatest jitter.
    pub jitter_max: Nanos,
    /// Greatest TS-DF; none before two packets.
    pub ts_df_max: Option<Nanos>,
    /// Shortest and longest interval between two arrivals.
    pub interval: Extent,
    /// Intervals by length.
    pub intervals: Intervals,
    /// Least and greatest link offset.
    pub link_offset: Extent,
    jitter_sum: u64,
    interval_sum: u64,
}

impl LegFigures {
    /// Jitter, averaged over the packets that it was taken of.
    pub fn jitter_mean(&self) -> Nanos {
        mean(self.jitter_sum, self.packets.saturating_sub(self.duplicated))
    }

    /// All intervals together.
    pub fn interval_sum(&self) -> Nanos {
        Nanos(self.interval_sum as i64)
    }

    /// The mean interval between two arrivals.
    pub fn interval_mean(&self) -> Nanos {
        mean(self.interval_sum, self.intervals.0.iter().sum())
    }
}

fn mean(sum: u64, of: u64) -> Nanos {
    Nanos(sum.checked_div(of).map_or(0, |mean| mean as i64))
}

/// A leg's figures at an instant, to be handed to another thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegReading {
    /// The source that is followed.
    pub ssrc: Option<Ssrc>,
    /// What the network headers said last.
    pub marks: Marks,
    /// A bit for each code point that was seen.
    pub dscps: u64,
    /// The least and the greatest TTL.
    pub ttl: Option<(u8, u8)>,
    /// Packets that should have come (RFC 3550 A.3), and what the other leg tells of.
    pub expected: u64,
    /// Expected less received, copies counted as received.
    pub rfc_lost: i64,
    /// How often the counters began anew.
    pub restarts: u64,
    /// How often timestamps jumped while the numbers went on.
    pub jumps: u64,
    /// Packets that fitted to nothing.
    pub strays: u64,
    /// Packets of another source while this one sent.
    pub foreign: u64,
    /// Jitter as it stands.
    pub jitter: Nanos,
    /// The same in units of the timestamp.
    pub jitter_ticks: FrameCount,
    /// TS-DF of the last whole second.
    pub ts_df: Option<Nanos>,
    /// Link offset of the last packet that had one.
    pub link_offset: Option<Nanos>,
    /// Figures since the start.
    pub since_start: LegFigures,
    /// Figures of the last minute.
    pub last_minute: LegFigures,
}

/// The statistics of one leg. See the [module](self) docs.
#[derive(Debug, Clone)]
pub struct LegStats {
    rate: SampleRate,
    source: Option<Source>,
    total: LegFigures,
    /// Signed, since a straggler may come that was missing before a restart.
    lost: i64,
    lost_frames: i64,
    recent: Recent,
    ts_df: TsDf,
    /// Sixteen times the jitter, as RFC 3550 A.8 keeps it to lose nothing to rounding.
    jitter16: i64,
    last_arrival: Option<Timestamp<Mono>>,
    marks: Marks,
    dscps: u64,
    ttl: Option<(u8, u8)>,
    link_offset: Option<Nanos>,
    restarts: u64,
    jumps: u64,
    strays: u64,
    foreign: u64,
    /// Packets and frames behind the furthest that are counted as lost already.
    missed: (u64, u64),
    /// Packets that were counted so and after which the numbers began anew.
    missed_before: u64,
    /// What comes next is another sender's, whatever its SSRC.
    moved: bool,
}

/// The source that is followed.
#[derive(Debug, Clone)]
struct Source {
    ssrc: Ssrc,
    sequence: Sequence,
    /// The packet that came last, for the difference to the next.
    last: (Timestamp<Mono>, Header),
    /// The furthest packet, and its frames.
    furthest: (Header, u32),
    /// Frames of the longest packet.
    longest: u32,
    /// A packet that fits to nothing yet.
    doubtful: Option<Arrived>,
}

impl LegStats {
    /// Empty statistics, with all the memory that they will ever need (12 KiB).
    pub fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            source: None,
            total: LegFigures::default(),
            lost: 0,
            lost_frames: 0,
            recent: Recent::new(),
            ts_df: TsDf::default(),
            jitter16: 0,
            last_arrival: None,
            marks: Marks::default(),
            dscps: 0,
            ttl: None,
            link_offset: None,
            restarts: 0,
            jumps: 0,
            strays: 0,
            foreign: 0,
            missed: (0, 0),
            missed_before: 0,
            moved: false,
        }
    }

    /// Takes a packet.
    pub fn observe(&mut self, packet: &Arrived) {
        let Some(source) = &mut self.source else {
            self.source = Some(Source::new(packet));
            self.missed_before += std::mem::take(&mut self.missed).0;
            return self.count(packet, Some(Place::Ahead { missing: 0 }));
        };
        let moved = std::mem::take(&mut self.moved);
        if moved || source.ssrc != packet.header.ssrc {
            // Another sender takes the place when the first is silent, as the receiver has it; until then it is a stranger.
            if !moved && packet.arrival - source.last.0 < TAKEOVER {
                self.foreign += 1;
                return;
            }
            source.sequence.restart(&packet.header, packet.frames);
            self.missed_before += std::mem::take(&mut self.missed).0;
            *source = Source { sequence: source.sequence.clone(), ..Source::new(packet) };
            self.restarts += 1;
            self.ts_df.restart();
            return self.count(packet, Some(Place::Ahead { missing: 0 }));
        }
        match source.sequence.place(&packet.header, packet.frames) {
            Place::Doubtful => {
                self.strays += u64::from(source.doubtful.replace(*packet).is_some());
            }
            Place::Restarted => {
                self.restarts += 1;
                self.missed_before += std::mem::take(&mut self.missed).0;
                self.ts_df.restart();
                if let Some(first) = source.doubtful.take() {
                    (source.last, source.furthest) =
                        ((first.arrival, first.header), (first.header, first.frames));
                    self.count(&first, None);
                }
                self.follow(packet, Place::Ahead { missing: 0 });
            }
            place => {
                self.strays += u64::from(source.doubtful.take().is_some());
                self.follow(packet, place);
            }
        }
    }

    /// A packet with the source's SSRC came from another address than the receiver follows.
    pub fn note_elsewhere(&mut self) {
        self.foreign += 1;
    }

    /// The receiver follows another address from here on: what is observed next is another sender's.
    pub fn note_moved(&mut self) {
        self.moved = true;
    }

    /// The packet that was taken last came too late for the receiver, which had filled its place.
    pub fn note_late(&mut self) {
        if let Some(last) = self.last_arrival {
            self.total.late += 1;
            self.recent.at(last).late += 1;
        }
    }

    /// The other leg has brought so many packets more, of so many frames each, that did not come on this one and will not.
    pub fn note_missed(&mut self, now: Timestamp<Mono>, packets: u64, frames: u32) {
        let slot = self.recent.at(now);
        let missed = packets * u64::from(frames);
        self.missed = (self.missed.0 + packets, self.missed.1 + missed);
        self.lost += packets as i64;
        slot.lost += packets as i64;
        self.lost_frames += missed as i64;
        slot.lost_frames += missed as i64;
    }

    /// A packet of the source that is followed.
    fn follow(&mut self, packet: &Arrived, place: Place) {
        let source = self.source.as_mut().expect("only a source's packets have a place");
        if place == Place::Again {
            return self.count(packet, Some(place));
        }
        let (before, header) = source.last;
        let ticks = packet.header.timestamp.distance_from(header.timestamp);
        let steps = packet.header.sequence.distance_from(header.sequence);
        let transit = (packet.arrival - before) - span(ticks, self.rate);
        let in_step = i64::from(ticks) == i64::from(steps) * i64::from(source.furthest.1);
        source.last = (packet.arrival, packet.header);
        source.longest = source.longest.max(packet.frames);
        let leapt = match place {
            Place::Ahead { missing } => {
                let (furthest, frames) = source.furthest;
                let ahead = i64::from(packet.header.timestamp.distance_from(furthest.timestamp));
                let hole = ahead - i64::from(frames);
                is_leap(hole, missing as i64 * i64::from(source.longest))
                    && !is_pause(hole, frames, packet.arrival - before, self.rate)
            }
            _ => false,
        };
        let jumped = leapt || (!in_step && transit.abs() > JUMP);
        if jumped {
            self.jumps += 1;
            self.ts_df.restart();
        } else {
            self.jitter16 += transit.abs().0 - ((self.jitter16 + 8) >> 4);
        }
        let missing = match place {
            Place::Ahead { missing } => {
                let (furthest, frames) =
                    std::mem::replace(&mut source.furthest, (packet.header, packet.frames));
                let ahead = i64::from(packet.header.timestamp.distance_from(furthest.timestamp));
                if jumped || ahead < 0 {
                    missing as i64 * i64::from(packet.frames)
                } else {
                    (ahead - i64::from(frames)).max(0)
                }
            }
            Place::Before { missing } => missing as i64 * i64::from(packet.frames),
            Place::Behind => -i64::from(packet.frames),
            Place::Again | Place::Doubtful | Place::Restarted => 0,
        };
        let mut missing = missing;
        if matches!(place, Place::Ahead { .. }) {
            // Its own numbers tell it now.
            let (packets, frames) = std::mem::take(&mut self.missed);
            missing -= frames as i64;
            self.lost -= packets as i64;
            self.recent.at(packet.arrival).lost -= packets as i64;
        }
        self.lost_frames += missing;
        self.recent.at(packet.arrival).lost_frames += missing;
        self.count(packet, Some(place));
    }

    /// Enters a packet into both books. Without a place it only counts.
    fn count(&mut self, packet: &Arrived, place: Option<Place>) {
        let slot = self.recent.at(packet.arrival);
        let total = &mut self.total;
        total.packets += 1;
        slot.packets += 1;
        total.bytes += packet.bytes as u64;
        slot.bytes += packet.bytes as u64;

        if let Some(last) = self.last_arrival {
            let interval = packet.arrival - last;
            let bucket = Intervals::bucket(interval);
            total.intervals.0[bucket] += 1;
            slot.intervals.0[bucket] += 1;
            total.interval.add(interval);
            slot.interval.add(interval);
            let length = u64::try_from(interval.0).unwrap_or(0);
            total.interval_sum += length;
            slot.interval_sum += length;
        }
        self.last_arrival = Some(packet.arrival);

        match place {
            Some(Place::Ahead { missing } | Place::Before { missing }) => {
                self.lost += missing as i64;
                slot.lost += missing as i64;
            }
            Some(Place::Behind) => {
                self.lost -= 1;
                slot.lost -= 1;
            }
            _ => {}
        }
        if matches!(place, Some(Place::Behind | Place::Before { .. })) {
            total.reordered += 1;
            slot.reordered += 1;
        }
        if place == Some(Place::Again) {
            total.duplicated += 1;
            slot.duplicated += 1;
            return;
        }
        self.time(packet);
        self.mark(packet);
    }

    /// Jitter, TS-DF and link offset.
    fn time(&mut self, packet: &Arrived) {
        let jitter = Nanos(self.jitter16 >> 4);
        let ended = self.ts_df.observe(packet.arrival, packet.header.timestamp, self.rate);
        let at_hand = self.ts_df.at_hand();
        let Slot { jitter_sum, jitter_max, ts_df_max, link_offset, .. } = self.recent.at(packet.arrival);
        for (sum, max) in [(jitter_sum, jitter_max), (&mut self.total.jitter_sum, &mut self.total.jitter_max)]
        {
            *sum += jitter.0.unsigned_abs();
            *max = (*max).max(jitter);
        }
        // A window belongs to the second that it ends in; until then it counts as far as it has come.
        *ts_df_max = (*ts_df_max).max(ended).max(at_hand);
        self.link_offset = packet.link_offset.or(self.link_offset);
        if let Some(offset) = packet.link_offset {
            link_offset.add(offset);
            self.total.link_offset.add(offset);
        }
    }

    fn mark(&mut self, packet: &Arrived) {
        let Marks { source, dscp, ttl } = packet.marks;
        self.marks.source = source.or(self.marks.source);
        if let Some(dscp) = dscp {
            self.marks.dscp = Some(dscp);
            self.dscps |= 1 << (dscp & 63);
        }
        if let Some(ttl) = ttl {
            self.marks.ttl = Some(ttl);
            let (least, greatest) = self.ttl.unwrap_or((ttl, ttl));
            self.ttl = Some((least.min(ttl), greatest.max(ttl)));
        }
    }

    /// Figures since the start.
    pub fn since_start(&self) -> LegFigures {
        LegFigures {
            lost: u64::try_from(self.lost).unwrap_or(0),
            lost_frames: u64::try_from(self.lost_frames).unwrap_or(0),
            ts_df_max: self.ts_df.greatest(),
            ..self.total
        }
    }

    /// Figures of the last minute, as seen at `now`.
    pub fn last_minute(&self, now: Timestamp<Mono>) -> LegFigures {
        self.recent.figures(now)
    }

    /// Interarrival jitter as it stands (RFC 3550 §6.4.1).
    pub fn jitter(&self) -> Nanos {
        Nanos(self.jitter16 >> 4)
    }

    /// The same in units of the RTP timestamp, as a receiver report carries it.
    pub fn jitter_ticks(&self) -> FrameCount {
        self.rate.frames_in(self.jitter())
    }

    /// TS-DF of the last whole second; before there is one, of what there is.
    pub fn ts_df(&self) -> Option<Nanos> {
        self.ts_df.last()
    }

    /// Arrival less media time of the last packet that had one.
    pub fn link_offset(&self) -> Option<Nanos> {
        self.link_offset
    }

    /// Packets that should have come (RFC 3550 A.3), and what the other leg tells of.
    pub fn expected(&self) -> u64 {
        let of_source = self.source.as_ref().map_or(0, |source| source.sequence.expected());
        of_source + self.missed.0 + self.missed_before
    }

    /// Lost as RFC 3550 A.3 has it: expected less received, copies counted as received.
    pub fn rfc_lost(&self) -> i64 {
        self.expected() as i64 - self.total.packets as i64
    }

    /// The source that is followed.
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// What the network headers said last.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// Every code point that was seen, least first.
    pub fn dscps(&self) -> impl Iterator<Item = u8> {
        let seen = self.dscps;
        (0..64).filter(move |dscp| seen & (1 << dscp) != 0)
    }

    /// The least and the greatest TTL that were seen.
    pub fn ttl(&self) -> Option<(u8, u8)> {
        self.ttl
    }

    /// All figures as they stand at `now`, by value.
    pub fn reading(&self, now: Timestamp<Mono>) -> LegReading {
        LegReading {
            ssrc: self.ssrc(),
            marks: self.marks,
            dscps: self.dscps,
            ttl: self.ttl,
            expected: self.expected(),
            rfc_lost: self.rfc_lost(),
            restarts: self.restarts,
            jumps: self.jumps,
            strays: self.strays,
            foreign: self.foreign,
            jitter: self.jitter(),
            jitter_ticks: self.jitter_ticks(),
            ts_df: self.ts_df(),
            link_offset: self.link_offset,
            since_start: self.since_start(),
            last_minute: self.last_minute(now),
        }
    }

    /// How often the counters began anew: another source, or other numbers.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// How often timestamps jumped while the numbers went on.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Packets that fitted to nothing and stayed alone.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// Packets of another source while this one sent.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }
}

impl Source {
    fn new(first: &Arrived) -> Self {
        Self {
            ssrc: first.header.ssrc,
            sequence: Sequence::new(&first.header, first.frames),
            last: (first.arrival, first.header),
            furthest: (first.header, first.frames),
            longest: first.frames,
            doubtful: None,
        }
    }
}

#[cfg(test)]
mod tests;
