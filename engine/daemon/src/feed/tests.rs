//! What goes from a worker to the disk writer.

use audyn_core::flow::Why;

use super::*;

const RATE: SampleRate = SampleRate::HZ_48000;

fn anchor() -> TimeAnchor {
    TimeAnchor {
        position: FrameIndex(0),
        utc: Timestamp::from_nanos(1_767_225_597_000_000_000),
        rate: RATE,
        exact: false,
        tai_offset: None,
    }
}

/// What came through, with neighbouring audio joined.
fn drain(end: &mut FeedEnd) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(command) = end.commands.pop() {
        told.push(match command {
            DiskCommand::Open(opening) => {
                let Opening { position, utc, .. } = *opening;
                format!("open {} {}", position.0, utc.as_nanos() / 1_000_000)
            }
            DiskCommand::Ends(placed) => format!("ends {} {:?}", placed.position.0, placed.why),
            DiskCommand::Ending(ending) => match ending.drift_ppm {
                Some(ppm) => format!("drift {ppm}"),
                None => continue,
            },
            DiskCommand::Audio(n) => {
                end.samples.read_chunk(n.0 as usize).unwrap().commit_all();
                format!("audio {}", n.0)
            }
            DiskCommand::Silence(n, cause) => format!("silence {} {cause:?}", n.0),
            DiskCommand::Joint(cause) => format!("joint {cause:?}"),
            DiskCommand::Event(event) => format!("event {event:?}"),
            DiskCommand::Parts => "parts".to_owned(),
            DiskCommand::Leaves(position) => format!("leaves {}", position.0),
            DiskCommand::Close(_) => "close".to_owned(),
        });
    }
    told
}

#[test]
fn segments_are_cut_at_the_very_frame() {
    let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
    let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
    // 2025-12-31 23:59:57: the hour ends after 3 s.
    feed.audio(FrameIndex(0), &vec![1; 143_990], &anchor());
    feed.audio(FrameIndex(143_990), &[1; 48], &anchor());
    feed.turn(FrameIndex(144_038), Some(&anchor()));
    assert_eq!(
        drain(&mut end),
        ["open 0 1767225597000", "audio 144000", "open 144000 1767225600000", "audio 38"]
    );
}

#[test]
fn a_slow_disk_costs_an_exact_gap_and_nothing_moves() {
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    let capacity = RATE.frames_in(DISK_BUFFER).0;
    let packet = [7; 48];
    let mut at = FrameIndex(0);
    let mut give = |feed: &mut Feed, count: u64| {
        for _ in 0..count {
            feed.audio(at, &packet, &anchor());
            at += FrameCount(48);
        }
        feed.turn(at, None);
    };
    give(&mut feed, capacity / 48 + 10);
    assert_eq!(drain(&mut end), ["open 0 1767225597000".to_owned(), format!("audio {capacity}")]);
    give(&mut feed, 2);
    assert_eq!(drain(&mut end), ["silence 480 DiskStall", "audio 96"]);
}

#[test]
fn a_limit_is_kept_to_the_frame() {
    let (mut feed, mut end) = connect(RATE, 1, None, Some(FrameCount(100)));
    for n in 0..4 {
        feed.audio(FrameIndex(n * 48), &[1; 48], &anchor());
    }
    feed.turn(FrameIndex(192), None);
    assert_eq!(drain(&mut end), ["open 0 1767225597000", "audio 100", "close"]);
    assert!(feed.is_finished());
}

#[test]
fn an_end_during_a_stall_comes_after_the_stall() {
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    feed.audio(FrameIndex(0), &vec![1; RATE.frames_in(DISK_BUFFER).0 as usize], &anchor());
    feed.audio(FrameIndex(480_000), &[1; 48], &anchor());
    feed.end(None);
    feed.turn(FrameIndex(480_048), None);
    assert_eq!(drain(&mut end)[1..], ["audio 480000", "silence 48 DiskStall", "close"]);
    assert!(feed.is_finished());
}

#[test]
fn a_cut_during_a_stall_divides_the_stall() {
    let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
    let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
    let early = TimeAnchor { utc: anchor().utc - Nanos::from_secs(12), ..anchor() };
    // The ring is full after 10 s, the hour ends after 15.
    for second in 0..17 {
        feed.audio(FrameIndex(second * 48_000), &vec![1; 48_000], &early);
        feed.turn(FrameIndex((second + 1) * 48_000), Some(&early));
    }
    feed.end(None);
    feed.turn(FrameIndex(816_000), None);
    let told = drain(&mut end);
    let audio = told.iter().filter(|line| line.starts_with("audio 48000")).count();
    assert_eq!(audio, 10);
    let rest: Vec<_> = told.iter().filter(|line| !line.starts_with("audio")).collect();
    assert_eq!(
        rest,
        [
            "open 0 1767225585000",
            "silence 240000 DiskStall",
            "open 720000 1767225600000",
            "silence 96000 DiskStall",
            "close"
        ]
    );
}

fn placed(position: u64, moved: i64, anchor: TimeAnchor) -> Placed {
    Placed {
        position: FrameIndex(position),
        moved,
        placement: Placement::Arrival,
        quality: audyn_units::ClockQuality::Ntp,
        tai_offset: anchor.tai_offset,
        why: Why::ClockStepped(Nanos::from_secs(1)),
        anchor,
    }
}

#[test]
fn a_flow_that_is_placed_anew_begins_a_file_that_is_named_by_it() {
    for hours in [-8_760, -3, 5, 8_760] {
        let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
        let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
        let early = TimeAnchor {
            position: FrameIndex(2_000_000_000_000),
            utc: anchor().utc - Nanos::from_secs(1_000),
            ..anchor()
        };
        let moved = 3_600 * hours * 48_000;
        let at = early.position.0.saturating_add_signed(moved) + 48_000;
        let stepped = TimeAnchor {
            position: FrameIndex(at),
            utc: early.utc + Nanos::from_secs(3_600 * hours + 1),
            ..early
        };
        feed.placed(&placed(early.position.0, 0, early));
        feed.audio(early.position, &vec![1; 48_000], &early);
        feed.drift(Some(1.5));
        feed.turn(early.position + FrameCount(48_000), Some(&early));
        feed.placed(&placed(at, moved, stepped));
        feed.silence(FrameIndex(at), FrameCount(48), GapCause::Outage, &stepped);
        feed.audio(FrameIndex(at + 48), &[1; 48], &stepped);
        feed.end(None);
        feed.turn(FrameIndex(at + 96), None);
        let start = 1_767_224_597_000i64;
        assert_eq!(
            drain(&mut end),
            [
                format!("open {} {start}", early.position.0),
                "audio 48000".to_owned(),
                "drift 1.5".to_owned(),
                format!("ends {at} ClockStepped(Nanos(1000000000))"),
                format!("open {at} {}", start + 3_600_000 * hours + 1_000),
                "silence 48 Outage".to_owned(),
                "audio 48".to_owned(),
                "drift 1.5".to_owned(),
                "close".to_owned(),
            ],
            "{hours} h"
        );
    }
}

#[test]
fn a_leap_second_moves_the_cut_and_closes_nothing() {
    // Placed by its media clock: position 0 is 23:59:57 of a day that gets a second more.
    let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
    let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
    let before = TimeAnchor { exact: true, tai_offset: Some(Nanos::from_secs(37)), ..anchor() };
    let after = TimeAnchor {
        utc: before.utc - Nanos::from_secs(1),
        tai_offset: Some(Nanos::from_secs(38)),
        ..before
    };
    let mut told = Vec::new();
    for second in 0..6u64 {
        let anchor = if second < 2 { &before } else { &after };
        feed.audio(FrameIndex(second * 48_000), &vec![1; 48_000], anchor);
        feed.turn(FrameIndex((second + 1) * 48_000), Some(anchor));
        told.extend(drain(&mut end).into_iter().filter(|line| !line.starts_with("audio")));
    }
    assert_eq!(told, ["open 0 1767225597000", "open 192000 1767225600000"], "four seconds, not three");
}

#[test]
fn a_leap_second_that_is_told_with_its_first_frame_moves_the_cut() {
    // The day would end after three seconds, at frame 144,000.
    for (leap, at, end_of_day) in [(1, 144_000, 192_000), (-1, 96_000, 96_000)] {
        let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
        let (mut feed, mut end) = connect(RATE, 1, Some(cutting), None);
        let before = TimeAnchor { exact: true, tai_offset: Some(Nanos::from_secs(37)), ..anchor() };
        let leap = Nanos::from_secs(leap);
        let after =
            TimeAnchor { utc: before.utc - leap, tai_offset: Some(Nanos::from_secs(37) + leap), ..before };
        let mut told = Vec::new();
        for millis in 0..5_000u64 {
            let first = millis * 48;
            let anchor = if first < at { &before } else { &after };
            feed.audio(FrameIndex(first), &[1; 48], anchor);
            feed.turn(FrameIndex(first + 48), Some(anchor));
            told.extend(drain(&mut end).into_iter().filter(|line| !line.starts_with("audio")));
        }
        let second = format!("open {end_of_day} 1767225600000");
        assert_eq!(told, ["open 0 1767225597000".to_owned(), second], "{leap:?}");
    }
}

/// A flow that begins at `first`, by its media clock or not, and gives four packets of 48 frames, the third of them lost.
fn begins(feed: &mut Feed, first: u64, placement: Placement) {
    let anchor = TimeAnchor { exact: true, ..anchor() };
    feed.placed(&Placed { placement, why: Why::First, ..placed(first, 0, anchor) });
    feed.audio(FrameIndex(first), &[1; 96], &anchor);
    feed.silence(FrameIndex(first + 96), FrameCount(48), GapCause::Loss, &anchor);
    feed.audio(FrameIndex(first + 144), &[1; 48], &anchor);
    feed.turn(FrameIndex(first + 192), Some(&anchor));
}

#[test]
fn what_the_engine_before_has_is_left_out_to_the_frame_and_the_file_begins_behind_it() {
    let first = 10 * 48_000u64;
    let millis = |frame: u64| 1_767_225_597_000 + frame as i64 / 48;
    let all = ["audio 96", "silence 48 Loss", "audio 48"];
    for (ahead, begins_at, told) in [
        (0, 0, all.as_slice()),
        (1, 1, &["audio 95", "silence 48 Loss", "audio 48"]),
        (96, 96, &["silence 48 Loss", "audio 48"]),
        (100, 100, &["silence 44 Loss", "audio 48"]),
        (144, 144, &["audio 48"]),
        (191, 191, &["audio 1"]),
        // Behind the place where the other engine ended, or more than a second before it: it is another time.
        (-1, 0, &all),
        (48_001, 0, &all),
        (i64::MAX, 0, &all),
    ] {
        let (mut feed, mut end) = connect(RATE, 1, None, None);
        feed.begin_at(FrameIndex(first.saturating_add_signed(ahead)));
        begins(&mut feed, first, Placement::MediaClock);
        feed.leave(FrameIndex(first + 144));
        let at = first + begins_at;
        let mut expected = vec![format!("open {at} {}", millis(at))];
        expected.extend(told.iter().map(|&line| line.to_owned()));
        expected.push(format!("leaves {}", first + 144));
        assert_eq!(drain(&mut end), expected, "{ahead}");
    }
}

#[test]
fn a_place_that_is_not_reached_stands_for_the_next_engine() {
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    feed.begin_at(FrameIndex(48_192));
    begins(&mut feed, 192, Placement::MediaClock);
    feed.leave(FrameIndex(384));
    assert_eq!(drain(&mut end), ["leaves 48192"]);
    // A flow from which nothing has come yet.
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    feed.begin_at(FrameIndex(7));
    feed.leave(FrameIndex(0));
    assert_eq!(drain(&mut end), ["leaves 7"]);
}

#[test]
fn nothing_is_left_out_of_a_flow_that_no_media_clock_places_nor_noted_of_it() {
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    feed.begin_at(FrameIndex(48));
    begins(&mut feed, 0, Placement::Arrival);
    feed.leave(FrameIndex(192));
    assert_eq!(drain(&mut end), ["open 0 1767225597000", "audio 96", "silence 48 Loss", "audio 48"]);
}

#[test]
fn a_flow_that_is_placed_anew_is_recorded_from_there() {
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    feed.begin_at(FrameIndex(1_000));
    begins(&mut feed, 0, Placement::MediaClock);
    begins(&mut feed, 600, Placement::MediaClock);
    assert_eq!(drain(&mut end)[..2], ["open 600 1767225597012", "audio 96"]);
}

#[test]
fn a_recording_that_a_person_ended_or_that_has_no_file_is_not_noted() {
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    begins(&mut feed, 0, Placement::MediaClock);
    feed.end(None);
    feed.leave(FrameIndex(192));
    feed.turn(FrameIndex(192), None);
    assert_eq!(drain(&mut end).last().unwrap(), "close");
    let (mut feed, mut end) = connect(RATE, 1, None, None);
    feed.placed(&placed(0, 0, anchor()));
    feed.leave(FrameIndex(0));
    assert!(drain(&mut end).is_empty());
}

#[test]
fn what_a_mirror_has_no_room_for_is_between_its_files_and_in_none() {
    let cutting = Cutting { policy: ArchivePolicy::default(), zone: TimeZone::UTC };
    let (feed, mut end) = connect(RATE, 1, Some(cutting), Some(FrameCount(26 * 48_000)));
    let mut feed = feed.mirroring();
    let early = TimeAnchor { utc: anchor().utc - Nanos::from_secs(12), ..anchor() };
    let second = |feed: &mut Feed, second: u64| {
        feed.audio(FrameIndex(second * 48_000), &vec![1; 48_000], &early);
        feed.turn(FrameIndex((second + 1) * 48_000), Some(&early));
    };
    let without_audio = |told: Vec<String>| -> Vec<String> {
        told.into_iter().filter(|line| !line.starts_with("audio")).collect()
    };
    // The ring is full after 10 s, the hour ends after 15; audio and silence of 17 to 20 s are left out.
    for n in 0..17 {
        second(&mut feed, n);
    }
    feed.silence(FrameIndex(17 * 48_000), FrameCount(3 * 48_000), GapCause::Outage, &early);
    feed.joint(GapCause::Outage);
    assert_eq!(
        without_audio(drain(&mut end)),
        ["open 0 1767225585000", "parts"],
        "no file of silence for the new hour"
    );
    // It is read again: the next file begins with the very next frame, in the hour that runs.
    feed.silence(FrameIndex(20 * 48_000), FrameCount(48_000), GapCause::Outage, &early);
    for n in 21..30 {
        second(&mut feed, n);
    }
    assert_eq!(
        without_audio(drain(&mut end)),
        ["open 960000 1767225605000", "silence 48000 Outage", "close"],
        "its limit is that of the archive's files"
    );
    assert!(feed.is_finished());
}
