//! The report in words.

use std::fmt::Write as _;

use super::report::{AudioReport, FiguresReport, FlowReport, MergedReport, Report, TaiOffset};
use super::skew::By;
use crate::words::{counted, millis, oddities, seen};

/// Gaps that are printed one by one.
const GAPS: usize = 20;

/// Writing to a String cannot fail, so results of `write!` are let go here.
pub(super) fn describe(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {}, {} in {:.3} s from {}",
        report.file,
        report.format,
        counted(report.packets, "packet"),
        report.duration_ns as f64 / 1e9,
        report.first_utc.as_deref().unwrap_or("no time at all"),
    );
    for remark in &report.remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    for flow in &report.flows {
        describe_flow(&mut text, flow, report.tai_offset);
    }
    for merged in &report.merged {
        describe_merged(&mut text, merged);
    }
    for refused in &report.refused {
        let _ = writeln!(
            text,
            "\nnot analyzed: {}:{} from {}, {}: {}",
            refused.address,
            refused.port,
            refused.source,
            counted(refused.datagrams, "datagram"),
            refused.reason
        );
    }
    text
}

fn describe_flow(text: &mut String, flow: &FlowReport, tai: TaiOffset) {
    let leg = &flow.leg;
    let all = &leg.since_start;
    let _ = writeln!(
        text,
        "\nflow {}: {}:{} from {}:{}, SSRC {}, payload type {}",
        flow.number,
        flow.address,
        flow.port,
        flow.source,
        flow.source_port,
        flow.ssrc.as_deref().unwrap_or("unknown"),
        flow.payload_type,
    );
    let guess = match flow.guessed.as_slice() {
        [] => String::new(),
        guessed => format!(" (guessed: {})", guessed.join(", ")),
    };
    let micros = f64::from(flow.packet_frames) * 1e6 / f64::from(flow.rate_hz);
    let _ = writeln!(
        text,
        "  format       {} {} Hz, {}, {} ({micros:.0} µs) a packet{guess}",
        flow.encoding,
        flow.rate_hz,
        counted(flow.channels.into(), "channel"),
        counted(flow.packet_frames.into(), "frame"),
    );
    let _ = writeln!(
        text,
        "  packets      {} ({}), lost {} of {} ({}), late {}, reordered {}, duplicated {}",
        all.packets,
        counted(all.bytes, "byte"),
        all.lost,
        leg.expected_packets,
        counted(all.lost_frames, "frame"),
        all.late,
        all.reordered,
        all.duplicated
    );
    let of_packets = [
        (flow.cut_packets, "cut by the capture"),
        (flow.refused.wrong_payload_type, "of another payload type"),
        (flow.refused.wrong_size, "of no whole number of frames"),
    ];
    let of_packets = of_packets.into_iter().filter(|(count, _)| *count > 0);
    let of_packets = of_packets.map(|(count, what)| format!("{} {what}", counted(count, "packet")));
    let odd = oddities(leg.restarts, leg.timestamp_jumps, leg.strays, leg.foreign);
    for odd in odd.into_iter().chain(of_packets) {
        let _ = writeln!(text, "               {odd}");
    }
    timing(text, all);
    let _ = writeln!(
        text,
        "  network      DSCP {}, TTL {}",
        list(leg.dscp.iter().map(|dscp| dscp_name(*dscp))),
        seen(leg.ttl_min, leg.ttl_max)
    );
    // TAI − UTC counts only where UTC is made TAI with it.
    let by = if tai.by == "option" { "as --tai-offset says" } else { "by the leap seconds up to its date" };
    let tai = format!("TAI - UTC of {} s, {by}", tai.seconds);
    let _ = match (leg.capture_clock, all.link_offset_min_ns, all.link_offset_max_ns) {
        (Some(clock), Some(least), Some(greatest)) => {
            let with = if clock == "utc" { format!(", with {tai}") } else { String::new() };
            let (least, greatest, clock) = (millis(least), millis(greatest), clock.to_uppercase());
            writeln!(
                text,
                "  link offset  {least} to {greatest} ms, if the capture's clock counts {clock}{with}"
            )
        }
        _ => writeln!(
            text,
            "  link offset  unknown: the timestamps follow the capture's clock neither as TAI nor with {tai}"
        ),
    };
    audio(text, &flow.audio, flow.rate_hz);
}

fn timing(text: &mut String, all: &FiguresReport) {
    let _ = writeln!(
        text,
        "  jitter       mean {}, greatest {} ms (RFC 3550); TS-DF greatest {} ms in a second",
        millis(all.jitter_mean_ns),
        millis(all.jitter_max_ns),
        all.ts_df_max_ns.map_or_else(|| "unknown".to_owned(), millis),
    );
    if let (Some(least), Some(greatest)) = (all.interval_min_ns, all.interval_max_ns) {
        let _ = writeln!(
            text,
            "  intervals    {} to {} ms, mean {}",
            millis(least),
            millis(greatest),
            millis(all.interval_mean_ns)
        );
    }
}

fn describe_merged(text: &mut String, merged: &MergedReport) {
    let _ = writeln!(
        text,
        "\nflows {} carry the same (told by {}); merged as ST 2022-7 does:",
        list(merged.flows.iter()),
        merged.by
    );
    if let (Some(least), Some(greatest)) = (merged.skew_min_ns, merged.skew_max_ns) {
        let about = if merged.skew_by == Some(By::Timestamps.name()) { "about " } else { "" };
        let _ = writeln!(
            text,
            "  skew         the second leg comes {about}{:.3} to {:.3} µs after the first",
            least as f64 / 1e3,
            greatest as f64 / 1e3
        );
        if !about.is_empty() {
            let _ = writeln!(
                text,
                "               no packet came on both: told by the timestamps of what each brought, a median each second"
            );
        }
        let enough = match merged.skew_class_needed {
            Some(class) => format!("class {class} is enough"),
            None => "no class is enough".to_owned(),
        };
        let _ = writeln!(text, "               {enough}; merged with class {}", merged.skew_class);
    }
    for (number, leg) in merged.flows.iter().zip(&merged.legs) {
        let _ = writeln!(
            text,
            "  leg {number:<8} {}, used {}, lost {}, late {}, foreign {}{}",
            counted(leg.received, "packet"),
            leg.used,
            leg.lost,
            leg.late,
            leg.foreign,
            if leg.differs { "; carries other audio than the other leg, and was left out" } else { "" }
        );
    }
    if merged.late > 0 {
        let _ = writeln!(
            text,
            "  late         {} came when both legs' time had passed",
            counted(merged.late, "packet")
        );
    }
    audio(text, &merged.audio, merged.rate_hz);
}

fn audio(text: &mut String, audio: &AudioReport, rate_hz: u32) {
    let seconds = |frames: u64| frames as f64 / f64::from(rate_hz);
    let gaps = audio.gaps.len() as u64 + audio.gaps_not_listed;
    let _ = writeln!(
        text,
        "  audio        {} ({:.3} s), of which {} filled with silence, in {}",
        counted(audio.frames, "frame"),
        seconds(audio.frames),
        audio.filled_frames,
        counted(gaps, "gap")
    );
    for gap in audio.gaps.iter().take(GAPS) {
        let cause = serde_json::to_string(&gap.cause).unwrap_or_default();
        let _ = writeln!(
            text,
            "    gap at {:.3} s (frame {}): {}, {}{}",
            seconds(gap.position.0),
            gap.position.0,
            counted(gap.frames.0, "frame"),
            cause.trim_matches('"'),
            if gap.estimated { ", estimated" } else { "" }
        );
    }
    if gaps > GAPS as u64 {
        let _ = writeln!(text, "    and {} more; --json lists them", gaps - GAPS as u64);
    }
    if let Some(wav) = &audio.wav {
        let _ = writeln!(text, "  written to   {wav}, its gaps to {wav}.gaps.jsonl");
    }
}

fn list(of: impl Iterator<Item = impl std::fmt::Display>) -> String {
    of.map(|one| one.to_string()).collect::<Vec<_>>().join(" and ")
}

/// The classes that AES67 §6.3 names, by name.
fn dscp_name(dscp: u8) -> String {
    match dscp {
        46 => "46 (EF)".to_owned(),
        34 => "34 (AF41)".to_owned(),
        0 => "0 (best effort)".to_owned(),
        other => other.to_string(),
    }
}
