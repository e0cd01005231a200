//! The statistics of a flow's legs in words, for `audyn status --flow`.

use std::fmt::Write as _;

use audyn_api::{FlowSnapshot, LegPeriod, LegStatistics};

use crate::words::{counted, millis, oddities, seen};

/// One block a leg: the network, and both stretches of time side by side.
pub(crate) fn describe(flow: &FlowSnapshot) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if flow.statistics.is_empty() {
        let _ = writeln!(text, "no statistics yet: nothing has come");
    }
    for (n, leg) in flow.statistics.iter().enumerate() {
        if flow.statistics.len() > 1 {
            let _ = writeln!(text, "leg {}", n + 1);
        }
        leg_lines(&mut text, leg);
    }
    text
}

fn leg_lines(text: &mut String, leg: &LegStatistics) {
    let sender = leg.sender.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    let ssrc = leg.ssrc.map_or_else(|| "unknown".to_owned(), |ssrc| ssrc.to_string());
    let ttl = seen(leg.ttl_min, leg.ttl_max);
    let dscps: Vec<String> = leg.dscps.iter().map(u8::to_string).collect();
    let dscps = if dscps.is_empty() { "unknown".to_owned() } else { dscps.join(", ") };
    let _ = writeln!(text, "  sender {sender}, SSRC {ssrc}, DSCP {dscps}, TTL {ttl}");
    let _ = writeln!(
        text,
        "  now: jitter {} ms ({}), TS-DF {} ms, link offset {}",
        millis(leg.jitter_nanos),
        counted(leg.jitter_ticks, "tick"),
        leg.ts_df_nanos.map_or_else(|| "-".to_owned(), millis),
        leg.link_offset_nanos.map_or_else(
            || "unknown (no clock tells it)".to_owned(),
            |nanos| format!("{} ms", millis(nanos))
        ),
    );
    let _ = writeln!(text, "  {:<22} {:>16} {:>16}", "", "last minute", "since start");
    let (minute, all) = (&leg.last_minute, &leg.since_start);
    let mut line = |name: &str, of: &dyn Fn(&LegPeriod) -> String| {
        let _ = writeln!(text, "  {name:<22} {:>16} {:>16}", of(minute), of(all));
    };
    line("packets", &|of| of.packets.to_string());
    line("lost packets", &|of| of.lost.to_string());
    line("lost frames", &|of| of.lost_frames.to_string());
    line("late", &|of| of.late.to_string());
    line("reordered", &|of| of.reordered.to_string());
    line("duplicated", &|of| of.duplicated.to_string());
    line("bytes", &|of| of.bytes.to_string());
    line("jitter mean, ms", &|of| millis(of.jitter_mean_nanos));
    line("jitter greatest, ms", &|of| millis(of.jitter_max_nanos));
    line("TS-DF greatest, ms", &|of| of.ts_df_max_nanos.map_or_else(|| "-".to_owned(), millis));
    line("interval shortest, ms", &|of| of.interval_min_nanos.map_or_else(|| "-".to_owned(), millis));
    line("interval longest, ms", &|of| of.interval_max_nanos.map_or_else(|| "-".to_owned(), millis));
    for odd in oddities(leg.restarts, leg.timestamp_jumps, leg.strays, leg.foreign) {
        let _ = writeln!(text, "  {odd}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stretches_stand_side_by_side() {
        let leg = LegStatistics {
            sender: Some([192, 0, 2, 9].into()),
            dscps: vec![0, 34],
            ttl_min: Some(14),
            ttl_max: Some(15),
            jitter_nanos: 20_833,
            jitter_ticks: 1,
            since_start: LegPeriod {
                packets: 10_000,
                lost: 3,
                ts_df_max_nanos: Some(2_500_000),
                ..LegPeriod::default()
            },
            last_minute: LegPeriod { packets: 600, ..LegPeriod::default() },
            ..LegStatistics::default()
        };
        let flow = FlowSnapshot { statistics: vec![leg], ..FlowSnapshot::default() };
        let told = describe(&flow);
        for wanted in
            ["DSCP 0, 34, TTL 14 to 15", "jitter 0.021 ms (1 tick), TS-DF - ms", "link offset unknown"]
        {
            assert!(told.contains(wanted), "{told}");
        }
        let numbers = |name: &str| {
            let line = told.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split_whitespace().rev().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(numbers("packets"), ["10000", "600"]);
        assert_eq!(numbers("lost packets"), ["3", "0"]);
        assert_eq!(numbers("TS-DF greatest"), ["2.500", "-"]);
        assert!(describe(&FlowSnapshot::default()).contains("nothing has come"));
    }
}
