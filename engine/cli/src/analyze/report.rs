//! The report of `audyn analyze`, as `--json` prints it. Units stand in the names; positions count frames from a stream's first.

use std::path::Path;

use audyn_core::flow::stats::{LegFigures, LegStats};
use audyn_core::flow::{FlowCounters, Gap, Leg, LegState};
use audyn_units::{Mono, Nanos, SkewClass, Timestamp};
use serde::Serialize;

use super::receive::{CaptureClock, Line, Merged, Received};
use super::sink::{Sink, utc};
use super::skew::By;
use crate::capture::Survey;
use crate::words::counted;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) file: String,
    pub(super) format: &'static str,
    pub(super) packets: u64,
    pub(super) first_utc: Option<String>,
    pub(super) duration_ns: i64,
    pub(super) time_resolution_ns: i64,
    pub(super) tai_offset: TaiOffset,
    /// What was odd about the file, a sentence each.
    pub(super) remarks: Vec<String>,
    pub(super) flows: Vec<FlowReport>,
    pub(super) merged: Vec<MergedReport>,
    pub(super) refused: Vec<RefusedReport>,
}

/// TAI − UTC by which link offsets were reckoned.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct TaiOffset {
    pub(super) seconds: i64,
    /// What told it: option, or leap-seconds (those up to the capture's date).
    pub(super) by: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct FlowReport {
    pub(super) number: usize,
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) source: String,
    pub(super) source_port: u16,
    pub(super) ssrc: Option<String>,
    /// Sources that sent this way; the receiver takes one at a time.
    pub(super) sources: usize,
    pub(super) payload_type: u8,
    pub(super) encoding: &'static str,
    pub(super) rate_hz: u32,
    pub(super) channels: u8,
    pub(super) packet_frames: u32,
    /// Which of these is a guess.
    pub(super) guessed: Vec<&'static str>,
    pub(super) leg: LegReport,
    pub(super) refused: RefusalReport,
    pub(super) audio: AudioReport,
    /// Packets of which the capture holds only the beginning.
    pub(super) cut_packets: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct LegReport {
    pub(super) dscp: Vec<u8>,
    pub(super) ttl_min: Option<u8>,
    pub(super) ttl_max: Option<u8>,
    pub(super) expected_packets: u64,
    /// RFC 3550 A.3: expected less received, copies counted as received.
    pub(super) rfc3550_lost: i64,
    pub(super) restarts: u64,
    pub(super) timestamp_jumps: u64,
    pub(super) strays: u64,
    pub(super) foreign: u64,
    pub(super) jitter_ns: i64,
    pub(super) jitter_ticks: u64,
    pub(super) ts_df_ns: Option<i64>,
    /// What the capturing machine's clock counts, where the timestamps agree with it: utc or tai.
    pub(super) capture_clock: Option<&'static str>,
    pub(super) since_start: FiguresReport,
    pub(super) last_minute: FiguresReport,
}

#[derive(Debug, Serialize)]
pub(super) struct FiguresReport {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) lost_frames: u64,
    pub(super) reordered: u64,
    pub(super) duplicated: u64,
    pub(super) late: u64,
    pub(super) jitter_mean_ns: i64,
    pub(super) jitter_max_ns: i64,
    pub(super) ts_df_max_ns: Option<i64>,
    pub(super) interval_min_ns: Option<i64>,
    pub(super) interval_mean_ns: i64,
    pub(super) interval_max_ns: Option<i64>,
    pub(super) link_offset_min_ns: Option<i64>,
    pub(super) link_offset_max_ns: Option<i64>,
    /// The buckets that hold something: upper edge in nanoseconds (none is without end), and count.
    pub(super) intervals: Vec<(Option<i64>, u64)>,
}

#[derive(Debug, Serialize)]
pub(super) struct RefusalReport {
    pub(super) bad_version: u64,
    pub(super) malformed: u64,
    pub(super) too_short: u64,
    pub(super) wrong_payload_type: u64,
    pub(super) wrong_size: u64,
    pub(super) foreign_source: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct AudioReport {
    /// The length of the timeline: received and filled.
    pub(super) frames: u64,
    pub(super) filled_frames: u64,
    pub(super) gaps: Vec<Gap>,
    /// Gaps that are not listed, since there are too many.
    pub(super) gaps_not_listed: u64,
    pub(super) wav: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MergedReport {
    /// Numbers of the streams that are its legs.
    pub(super) flows: Vec<usize>,
    /// What told that they are: sdp, payload, counters, or silence and counters.
    pub(super) by: &'static str,
    /// How much later packets came by the second leg than by the first.
    pub(super) skew_min_ns: Option<i64>,
    pub(super) skew_max_ns: Option<i64>,
    /// What told so: packets that came on both legs, or, where there is none, their timestamps (a median each second).
    pub(super) skew_by: Option<&'static str>,
    /// The class that it was merged with, and the least that the measured skew needs: a, b or c; none if nothing was measured, or it
    /// exceeds them all.
    pub(super) skew_class: SkewClass,
    pub(super) skew_class_needed: Option<SkewClass>,
    /// What each leg gave to the whole, in the order of `flows`.
    pub(super) legs: Vec<MergedLegReport>,
    pub(super) rate_hz: u32,
    pub(super) late: u64,
    pub(super) audio: AudioReport,
}

/// What a leg gave to the whole, in packets.
#[derive(Debug, Serialize)]
pub(super) struct MergedLegReport {
    pub(super) received: u64,
    /// Brought audio that had not come before.
    pub(super) used: u64,
    pub(super) lost: u64,
    /// Came so long after the newest that they could not have filled a hole.
    pub(super) late: u64,
    pub(super) foreign: u64,
    pub(super) differing: u64,
    /// It carries another stream than the other leg; nothing more of it was taken.
    pub(super) differs: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct RefusedReport {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) source: String,
    pub(super) datagrams: u64,
    pub(super) reason: String,
}

pub(super) fn report(
    file: &Path,
    survey: &Survey,
    numbers: &[usize],
    received: &Received,
    tai_offset: TaiOffset,
) -> Report {
    let about = &survey.about;
    let flows = received
        .lines
        .iter()
        .enumerate()
        .map(|(at, line)| flow(survey, at, numbers[at], line, received.last));
    let refused = survey.refused.iter().map(|(at, reason)| {
        let shape = &survey.shapes.shapes[*at];
        RefusedReport {
            address: shape.way.destination.ip().to_string(),
            port: shape.way.destination.port(),
            source: shape.way.source.to_string(),
            datagrams: shape.datagrams,
            reason: reason.clone(),
        }
    });
    Report {
        file: file.display().to_string(),
        format: about.form,
        packets: about.packets,
        first_utc: about.first.map(utc),
        duration_ns: about.last.zip(about.first).map_or(0, |(last, first)| last - first),
        time_resolution_ns: about.resolution,
        tai_offset,
        remarks: remarks(survey, received),
        flows: flows.collect(),
        merged: received.merged.iter().map(|legs| merged(survey, numbers, legs, received.last)).collect(),
        refused: refused.collect(),
    }
}

fn flow(survey: &Survey, at: usize, number: usize, line: &Line, last: i64) -> FlowReport {
    let found = &survey.flows[at];
    let shape = &survey.shapes.shapes[found.shape];
    let format = found.form.format;
    let FlowCounters {
        bad_version,
        malformed,
        too_short,
        wrong_payload_type,
        wrong_size,
        foreign_source,
        ..
    } = *line.receiver.counters();
    FlowReport {
        number,
        address: shape.way.destination.ip().to_string(),
        port: shape.way.destination.port(),
        source: shape.way.source.to_string(),
        source_port: shape.source_port,
        ssrc: line.stats.ssrc().map(|ssrc| ssrc.to_string()),
        sources: shape.sources(),
        payload_type: format.payload_type.get(),
        encoding: format.encoding.name(),
        rate_hz: format.rate.hz(),
        channels: u8::from(format.channels),
        packet_frames: found.form.packet_frames,
        guessed: found.form.guessed.clone(),
        leg: leg(&line.stats, line.clock, last),
        refused: RefusalReport {
            bad_version,
            malformed,
            too_short,
            wrong_payload_type,
            wrong_size,
            foreign_source,
        },
        audio: audio(&line.sink),
        cut_packets: line.cut,
    }
}

fn leg(stats: &LegStats, clock: Option<CaptureClock>, last: i64) -> LegReport {
    let ttl = stats.ttl();
    LegReport {
        dscp: stats.dscps().collect(),
        ttl_min: ttl.map(|(least, _)| least),
        ttl_max: ttl.map(|(_, greatest)| greatest),
        expected_packets: stats.expected(),
        rfc3550_lost: stats.rfc_lost(),
        restarts: stats.restarts(),
        timestamp_jumps: stats.jumps(),
        strays: stats.strays(),
        foreign: stats.foreign(),
        jitter_ns: stats.jitter().0,
        jitter_ticks: stats.jitter_ticks().0,
        ts_df_ns: nanos(stats.ts_df()),
        capture_clock: clock.map(|clock| match clock {
            CaptureClock::Utc => "utc",
            CaptureClock::Tai => "tai",
        }),
        since_start: figures(&stats.since_start()),
        last_minute: figures(&stats.last_minute(Timestamp::from_nanos(last))),
    }
}

fn figures(of: &LegFigures) -> FiguresReport {
    let buckets = of.intervals.buckets().filter(|(_, count)| *count > 0);
    FiguresReport {
        packets: of.packets,
        bytes: of.bytes,
        lost: of.lost,
        lost_frames: of.lost_frames,
        reordered: of.reordered,
        duplicated: of.duplicated,
        late: of.late,
        jitter_mean_ns: of.jitter_mean().0,
        jitter_max_ns: of.jitter_max.0,
        ts_df_max_ns: nanos(of.ts_df_max),
        interval_min_ns: nanos(of.interval.least()),
        interval_mean_ns: of.interval_mean().0,
        interval_max_ns: nanos(of.interval.greatest()),
        link_offset_min_ns: nanos(of.link_offset.least()),
        link_offset_max_ns: nanos(of.link_offset.greatest()),
        intervals: buckets.map(|(edge, count)| (nanos(edge), count)).collect(),
    }
}

fn nanos(of: Option<Nanos>) -> Option<i64> {
    of.map(|nanos| nanos.0)
}

fn audio(sink: &Sink) -> AudioReport {
    AudioReport {
        frames: sink.frames,
        filled_frames: sink.filled,
        gaps: sink.gaps.clone(),
        gaps_not_listed: sink.gaps_more,
        wav: sink.path.as_ref().map(|path| path.display().to_string()),
    }
}

fn merged(survey: &Survey, numbers: &[usize], legs: &Merged, last: i64) -> MergedReport {
    let now = Timestamp::<Mono>::from_nanos(last);
    let of_leg = |leg| {
        let told = legs.receiver.leg(leg, now);
        MergedLegReport {
            received: told.counters.received,
            used: told.counters.used,
            lost: told.counters.lost,
            late: told.counters.late,
            foreign: told.counters.foreign,
            differing: told.counters.differing,
            differs: told.state == LegState::Differs,
        }
    };
    let (skew, by) = legs.skew.told().unzip();
    MergedReport {
        flows: legs.merger.flows.iter().map(|flow| numbers[*flow]).collect(),
        by: legs.merger.by,
        skew_min_ns: skew.map(|(least, _)| least),
        skew_max_ns: skew.map(|(_, greatest)| greatest),
        skew_by: by.map(By::name),
        skew_class: legs.class,
        skew_class_needed: skew.and_then(class_for),
        legs: Leg::ALL.map(of_leg).into(),
        rate_hz: survey.flows[legs.merger.flows[0]].form.format.rate.hz(),
        late: legs.receiver.counters().late,
        audio: audio(&legs.sink),
    }
}

/// The shortest class that this skew, least and greatest, is within.
fn class_for((least, greatest): (i64, i64)) -> Option<SkewClass> {
    let widest = least.unsigned_abs().max(greatest.unsigned_abs());
    SkewClass::ALL.into_iter().find(|class| widest <= class.skew().0.unsigned_abs())
}

/// What was odd about the file, a sentence each.
fn remarks(survey: &Survey, received: &Received) -> Vec<String> {
    let (about, passed) = (&survey.about, &survey.passed);
    let mut all = Vec::new();
    let mut say = |count: u64, sentence: &str| {
        if count > 0 {
            all.push(format!("{} {sentence}", counted(count, "packet")));
        }
    };
    say(
        about.cut,
        "held only in part, cut by a snap length; what is missing of the audio is silence here: capture with tcpdump -s 0",
    );
    say(
        passed.fragments,
        "left out that came in fragments of IP; audio never does, so see what sends packets that long",
    );
    say(passed.too_short, "left out whose headers are not whole");
    say(passed.unknown_link, "left out from a kind of link that is not known here");
    say(about.timeless, "left out that carry no time");
    say(
        about.backward,
        "with a time before that of its forerunner; several queues captured, and small differences of arrival mean little",
    );
    if about.ends_early {
        all.push(
            "the file ends inside a packet: the capture was cut off, or is still being written".to_owned(),
        );
    }
    if about.resolution >= 1_000_000 {
        all.push(format!(
            "the capture's times are {} ms apart; jitter below that is unknown",
            about.resolution / 1_000_000
        ));
    }
    for (found, line) in survey.flows.iter().zip(&received.lines) {
        let shape = &survey.shapes.shapes[found.shape];
        if let Some(doubt) = &found.form.doubt {
            all.push(format!("{}: {doubt}", shape.way.destination));
        }
        if line.sink.path.is_some() && line.cut > 0 {
            all.push(format!("the file of {} has silence where packets were cut", shape.way.destination));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_that_is_enough() {
        for (skew, class) in [
            ((0, 10_000_000), Some(SkewClass::A)),
            ((-10_000_001, 3), Some(SkewClass::B)),
            ((40_000_000, 400_000_000), Some(SkewClass::C)),
            ((0, 450_000_001), None),
        ] {
            assert_eq!(class_for(skew), class, "{skew:?}");
        }
    }
}
