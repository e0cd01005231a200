//! `audyn analyze` and `audyn send --pcap` as a user runs them, on captures that are made here and whose truth is known.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy exempts only test functions themselves"
)]

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use audyn_core::sender::{Chance, Config, Event, Fault, Format, Impairments, Index, Random, Sender, Truth};
use audyn_media::WavReader;
use audyn_media::ledger::LedgerFacts;
use audyn_units::{ChannelCount, Encoding, FrameIndex, PayloadType, RtpTime, SampleRate, SeqNo, Ssrc};
use etherparse::PacketBuilder;
use serde_json::Value;

/// 2024-01-01, in nanoseconds.
const EPOCH: i64 = 1_704_067_200_000_000_000;

fn analyze(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audyn")).arg("analyze").args(arguments).output().unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = analyze(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(arguments: &[&str]) -> (i32, String) {
    let output = analyze(arguments);
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// What a sender with these faults puts on the wire: (when, datagram).
fn sent(faults: Impairments, packets: u64, channels: u8) -> (Vec<(i64, Vec<u8>)>, Truth) {
    let config = Config {
        format: Format {
            encoding: Encoding::L24,
            rate: SampleRate::HZ_48000,
            channels: ChannelCount::new(channels).unwrap(),
            packet_frames: 48,
        },
        payload_type: PayloadType::new(97).unwrap(),
        ssrc: Ssrc(0x0102_0304),
        first_sequence: SeqNo(65_000),
        first_timestamp: RtpTime(u32::MAX - 5_000),
        packets: Some(packets),
        seed: 3,
        impairments: faults,
    };
    let mut sender = Sender::new(config).unwrap();
    let mut source = Index { stream: 1, encoding: Encoding::L24 };
    let mut all = Vec::new();
    while let Some(slot) = sender.next(&mut source).unwrap() {
        for (nth, datagram) in slot.datagrams().enumerate() {
            all.push((EPOCH + slot.due.0 + nth as i64 * 1_000, datagram.to_vec()));
        }
    }
    (all, sender.truth().clone())
}

fn ethernet(group: u8, datagram: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [1, 0, 0x5e, 0, 0, group])
        .ipv4([192, 0, 2, 1], [239, 1, 2, group], 15)
        .udp(5004, 5004)
        .write(&mut frame, datagram)
        .unwrap();
    frame[15] = 34 << 2;
    frame
}

/// A pcap of frames, its times to the nanosecond; packets longer than `snap` are cut.
fn pcap(path: &Path, frames: &[(i64, Vec<u8>)], snap: usize) {
    let mut out = Vec::new();
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.extend(word.to_le_bytes());
    }
    for (at, frame) in frames {
        let held = frame.len().min(snap);
        let words = [at / 1_000_000_000, at % 1_000_000_000, held as i64, frame.len() as i64];
        words.iter().for_each(|word| out.extend((*word as u32).to_le_bytes()));
        out.extend(&frame[..held]);
    }
    std::fs::write(path, out).unwrap();
}

fn faults() -> Impairments {
    let random = |percent: f64, packets| Random { chance: Chance::new(percent / 100.0).unwrap(), packets };
    Impairments {
        loss: Chance::new(0.01).unwrap(),
        reorder: random(2.0, 3),
        duplicate: random(1.0, 2),
        events: vec![Event { at: FrameIndex(48_000), fault: Fault::Lose { packets: 30 } }],
        ..Impairments::default()
    }
}

fn capture_of(directory: &Path, sent: &[(i64, Vec<u8>)], snap: usize) -> PathBuf {
    let path = directory.join("capture.pcap");
    let frames: Vec<_> = sent.iter().map(|(at, datagram)| (*at, ethernet(3, datagram))).collect();
    pcap(&path, &frames, snap);
    path
}

#[test]
fn the_report_is_what_the_sender_did() {
    let directory = tempfile::tempdir().unwrap();
    let (packets, truth) = sent(faults(), 5_000, 2);
    let path = capture_of(directory.path(), &packets, 262_144);
    let wav = directory.path().join("out.wav");
    let report = report(&[path.to_str().unwrap(), "-o", wav.to_str().unwrap()]);

    let flow = &report["flows"][0];
    let form = ["encoding", "rate_hz", "channels", "packet_frames", "payload_type", "ssrc"]
        .map(|name| flow[name].clone());
    assert_eq!(form.map(|value| value.to_string()), ["\"L24\"", "48000", "2", "48", "97", "\"01020304\""]);
    assert_eq!(flow["guessed"], serde_json::json!(["encoding", "channels", "rate"]));
    let leg = &flow["leg"];
    let all = &leg["since_start"];
    let lost = truth.lost.frames().0 / 48;
    let twice = truth.duplicated.frames().0 / 48;
    assert_eq!(all["packets"], truth.datagrams);
    assert_eq!((all["lost"].as_u64(), all["lost_frames"].as_u64()), (Some(lost), Some(lost * 48)));
    assert_eq!(all["duplicated"], twice);
    assert_eq!(leg["rfc3550_lost"].as_i64(), Some(lost as i64 - twice as i64));
    assert_eq!(all["reordered"].as_u64(), Some(truth.reordered.frames().0 / 48));
    assert_eq!((leg["dscp"].to_string(), leg["ttl_min"].as_u64()), ("[34]".to_owned(), Some(15)));
    assert_eq!(report["remarks"], serde_json::json!([]));

    let gaps = flow["audio"]["gaps"].as_array().unwrap();
    let first = truth.first.unwrap().position.0;
    let told: Vec<_> = gaps
        .iter()
        .map(|gap| (gap["position"].as_u64().unwrap() + first, gap["frames"].as_u64().unwrap()))
        .collect();
    let last = truth.last.unwrap().position.0;
    let wanted: Vec<_> = truth
        .lost
        .as_slice()
        .iter()
        .map(|span| (span.start.0, span.frames.0))
        .filter(|(at, _)| (first..last).contains(at))
        .collect();
    assert_eq!(told, wanted);

    let mut reader = WavReader::open(&wav).unwrap();
    let mut samples = vec![0; reader.info().frames.0 as usize * 2];
    reader.read(&mut samples).unwrap();
    assert_eq!(reader.info().frames.0, last + 48 - first);
    for (position, frame) in (first..).zip(samples.chunks_exact(2)) {
        let missing = truth.lost.contains(FrameIndex(position));
        let index = audyn_core::sender::index_sample(1, FrameIndex(position), 0, Encoding::L24);
        assert_eq!(frame[0], if missing { 0 } else { index }, "at {position}");
    }

    // Beside it lies a ledger as a recording has, which says the same.
    let beside = directory.path().join("out.wav.gaps.jsonl");
    let ledger = std::fs::read(&beside).unwrap();
    let facts = LedgerFacts::read(&ledger[..], reader.info().frames).unwrap();
    let header = &facts.header;
    assert_eq!((header.file.as_str(), header.bits, header.channels), ("out.wav", Some(24), 2));
    assert_eq!((header.first_position, &header.placed_by, header.clock), (FrameIndex(0), &None, None));
    assert!(header.start_utc.starts_with("2024-01-01T00:00:00"), "{}", header.start_utc);
    let entered: Vec<_> = facts.gaps.iter().map(|gap| (gap.position.0 + first, gap.frames.0)).collect();
    assert_eq!(entered, wanted);
    let end = facts.end.unwrap();
    assert_eq!((end.frames(), end.frames_filled), (reader.info().frames, facts.filled));
    let second = ledger.split(|byte| *byte == b'\n').nth(1).unwrap();
    let started = serde_json::from_slice::<Value>(second).unwrap();
    assert_eq!((&started["event"], &started["position"]), (&"started".into(), &0.into()));

    // A ledger that is there is left as it is, and so is its place.
    std::fs::remove_file(&wav).unwrap();
    let (code, said) = refusal(&[path.to_str().unwrap(), "-o", wav.to_str().unwrap()]);
    assert!(code == 1 && said.contains("out.wav.gaps.jsonl exists already and is left as it is"), "{said}");
    assert!(!wav.exists() && std::fs::read(&beside).unwrap() == ledger);
}

#[test]
fn legs_that_lost_what_the_other_has_are_whole_together() {
    let directory = tempfile::tempdir().unwrap();
    let (packets, _) = sent(Impairments::default(), 4_000, 1);
    let path = directory.path().join("legs.pcap");
    let mut frames = Vec::new();
    for (n, (at, datagram)) in packets.iter().enumerate() {
        // Each leg loses every other packet; the second is 3 ms behind the first.
        let leg = n % 2;
        frames.push((at + leg as i64 * 3_000_000, ethernet(3 + leg as u8, datagram)));
        if n % 100 == 0 {
            frames.push((at + (1 - leg as i64) * 3_000_000, ethernet(4 - leg as u8, datagram)));
        }
    }
    frames.sort_by_key(|(at, _)| *at);
    pcap(&path, &frames, 262_144);
    let report = report(&[path.to_str().unwrap()]);
    let lost = |flow: usize| report["flows"][flow]["leg"]["since_start"]["lost"].as_u64().unwrap();
    assert!(lost(0) > 1_900 && lost(1) > 1_900, "{} {}", lost(0), lost(1));
    let merged = &report["merged"][0];
    assert_eq!(
        (merged["flows"].to_string(), merged["audio"]["filled_frames"].as_u64()),
        ("[1,2]".to_owned(), Some(0))
    );
    assert_eq!(merged["audio"]["frames"].as_u64(), Some(4_000 * 48));
    assert_eq!(merged["skew_max_ns"].as_i64(), Some(3_000_000));

    // One directory: each leg by itself, and both together.
    let out = directory.path().join("out");
    let output = analyze(&[path.to_str().unwrap(), "-o", &format!("{}/", out.display())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("carry the same"));
    let mut names: Vec<_> =
        std::fs::read_dir(&out).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let both = ["239.1.2.3-5004+239.1.2.4-5004.wav", "239.1.2.3-5004.wav", "239.1.2.4-5004.wav"];
    let wanted: Vec<_> =
        both.iter().flat_map(|wav| [(*wav).to_owned(), format!("{wav}.gaps.jsonl")]).collect();
    assert_eq!(names, wanted);
}

/// Two legs, of which each lost every other packet but for the first ones and a few more; the second comes `skew` later.
fn disjoint(packets: &[(i64, Vec<u8>)], skew: i64, ssrc: Option<u32>) -> Vec<(i64, Vec<u8>)> {
    let mut frames = Vec::new();
    for (n, (at, datagram)) in packets.iter().enumerate() {
        let both = n < 20 || n % 16 == 0;
        if both || n % 2 == 0 {
            frames.push((*at, ethernet(3, datagram)));
        }
        if both || n % 2 == 1 {
            let mut other = datagram.clone();
            if let Some(ssrc) = ssrc {
                other[8..12].copy_from_slice(&ssrc.to_be_bytes());
            }
            frames.push((at + skew, ethernet(4, &other)));
        }
    }
    frames.sort_by_key(|(at, _)| *at);
    frames
}

#[test]
fn legs_far_apart_or_of_two_ssrcs_are_merged_bit_for_bit_as_the_engine_does() {
    let directory = tempfile::tempdir().unwrap();
    let (packets, truth) = sent(Impairments::default(), 4_000, 1);
    let first = truth.first.unwrap().position.0;
    for (skew, ssrc, class) in [
        (3_000_000, None, "a"),
        (40_000_000, None, "b"),
        (400_000_000, None, "c"),
        (3_000_000, Some(9), "a"),
        (400_000_000, Some(9), "c"),
    ] {
        let case = format!("{skew} ns, {ssrc:?}");
        let path = directory.path().join("legs.pcap");
        pcap(&path, &disjoint(&packets, skew, ssrc), 262_144);
        let wav = directory.path().join(format!("{skew}-{}.wav", ssrc.is_some()));
        let report = report(&[path.to_str().unwrap(), "-o", wav.to_str().unwrap()]);
        let merged = &report["merged"][0];
        let audio = &merged["audio"];
        assert_eq!(
            (audio["frames"].as_u64(), audio["filled_frames"].as_u64(), audio["gaps"].to_string()),
            (Some(4_000 * 48), Some(0), "[]".to_owned()),
            "{case}"
        );
        assert_eq!(
            (
                merged["skew_max_ns"].as_i64(),
                merged["skew_class_needed"].as_str(),
                merged["skew_class"].as_str()
            ),
            (Some(skew), Some(class), Some("c")),
            "{case}"
        );
        let legs = merged["legs"].as_array().unwrap();
        let used: u64 = legs.iter().map(|leg| leg["used"].as_u64().unwrap()).sum();
        assert_eq!(used, 4_000, "{case}");
        assert!(legs.iter().all(|leg| leg["late"] == 0 && leg["foreign"] == 0), "{case}: {legs:?}");

        let mut reader = WavReader::open(&wav).unwrap();
        let mut samples = vec![0; reader.info().frames.0 as usize];
        reader.read(&mut samples).unwrap();
        let index = |at| audyn_core::sender::index_sample(1, FrameIndex(at), 0, Encoding::L24);
        assert!(samples.iter().zip(first..).all(|(sample, at)| *sample == index(at)), "{case}");
        assert_eq!(samples.len(), 4_000 * 48, "{case}");
    }

    // A class that is too short loses what the later leg brings, and says so.
    let path = directory.path().join("legs.pcap");
    let short = report(&[path.to_str().unwrap(), "--skew", "a"]);
    let merged = &short["merged"][0];
    assert!(merged["legs"][1]["late"].as_u64().unwrap() > 1_000, "{}", merged["legs"]);
    assert!(merged["audio"]["filled_frames"].as_u64().unwrap() > 0);
    let output = analyze(&[path.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("class c is enough; merged with class c") && text.contains("  leg 2 "), "{text}");
    let (code, told) = refusal(&[path.to_str().unwrap(), "--skew", "d"]);
    assert!(code == 2 && told.contains("is no skew class"), "{told}");
}

#[test]
fn legs_without_a_common_packet_have_a_skew_by_their_timestamps() {
    let directory = tempfile::tempdir().unwrap();
    let (packets, _) = sent(Impairments::default(), 3_000, 1);
    let path = directory.path().join("legs.pcap");
    let legs = |both: &dyn Fn(usize) -> bool| {
        let mut frames = Vec::new();
        for (n, (at, datagram)) in packets.iter().enumerate() {
            for leg in (0..2).filter(|leg| n % 2 == *leg || both(n)) {
                frames.push((at + leg as i64 * 12_345_000, ethernet(3 + leg as u8, datagram)));
            }
        }
        frames.sort_by_key(|(at, _)| *at);
        pcap(&path, &frames, 262_144);
    };
    let file = path.to_str().unwrap();
    for (both, by, sentence) in [
        (None, "timestamps", "comes about 12345.000 to 12345.000 µs after the first"),
        (Some(100), "packets", "comes 12345.000 to 12345.000 µs after the first"),
    ] {
        legs(&|n| both.is_some_and(|each| n % each == 0));
        let told = report(&[file]);
        let merged = &told["merged"][0];
        assert_eq!(
            (merged["skew_min_ns"].as_i64(), merged["skew_max_ns"].as_i64(), merged["skew_by"].as_str()),
            (Some(12_345_000), Some(12_345_000), Some(by))
        );
        assert_eq!(merged["skew_class_needed"], "b");
        let text = String::from_utf8(analyze(&[file]).stdout).unwrap();
        assert!(text.contains(sentence), "{text}");
        assert_eq!(text.contains("no packet came on both"), by == "timestamps", "{text}");
    }
}

#[test]
fn a_capture_of_2001_is_reckoned_with_the_leap_seconds_of_2001() {
    const JUNE_2001: i64 = 991_353_600_000_000_000;
    let directory = tempfile::tempdir().unwrap();
    let (packets, _) = sent(Impairments::default(), 1_000, 2);
    // Timestamps that are the media clock in TAI, which was 32 s ahead; each packet is 2 ms under way.
    let media = |n: usize| (JUNE_2001 / 1_000_000_000 + 32) * 48_000 + n as i64 * 48;
    let frames = packets.iter().enumerate().map(|(n, (_, datagram))| {
        let mut datagram = datagram.clone();
        datagram[4..8].copy_from_slice(&(media(n) as u32).to_be_bytes());
        (JUNE_2001 + n as i64 * 1_000_000 + 2_000_000, ethernet(3, &datagram))
    });
    let path = directory.path().join("old.pcap");
    pcap(&path, &frames.collect::<Vec<_>>(), 262_144);
    let file = path.to_str().unwrap();

    let told = report(&[file]);
    assert_eq!(told["tai_offset"], serde_json::json!({ "seconds": 32, "by": "leap-seconds" }));
    let leg = &told["flows"][0]["leg"];
    assert_eq!(
        (leg["capture_clock"].as_str(), leg["since_start"]["link_offset_max_ns"].as_i64()),
        (Some("utc"), Some(2_000_000))
    );
    let text = |more: &[&str]| String::from_utf8(analyze(&[&[file], more].concat()).stdout).unwrap();
    let wanted = "link offset  2.000 to 2.000 ms, if the capture's clock counts UTC, with TAI - UTC of 32 s, by the leap seconds up to its date";
    assert!(text(&[]).contains(wanted), "{}", text(&[]));

    // Who says another is believed.
    let other = report(&[file, "--tai-offset", "37"]);
    assert_eq!(other["tai_offset"], serde_json::json!({ "seconds": 37, "by": "option" }));
    assert_eq!(other["flows"][0]["leg"]["capture_clock"], Value::Null);
    let wanted = "unknown: the timestamps follow the capture's clock neither as TAI nor with TAI - UTC of 37 s, as --tai-offset says";
    assert!(text(&["--tai-offset", "37"]).contains(wanted));
}

#[test]
fn two_unrelated_streams_are_not_merged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("two.pcap");
    let (packets, _) = sent(Impairments::default(), 2_000, 1);
    let mut frames = Vec::new();
    for (at, datagram) in &packets {
        frames.push((*at, ethernet(3, datagram)));
        // The same counters, and other audio: two streams of one device, started at once.
        let mut other = datagram.clone();
        other[12..].iter_mut().for_each(|byte| *byte ^= 0x55);
        frames.push((at + 1_000, ethernet(4, &other)));
    }
    pcap(&path, &frames, 262_144);
    let report = report(&[path.to_str().unwrap()]);
    assert_eq!(
        (report["flows"].as_array().unwrap().len(), report["merged"].to_string()),
        (2, "[]".to_owned())
    );
}

#[test]
fn a_snap_length_costs_the_audio_and_no_figure() {
    let directory = tempfile::tempdir().unwrap();
    let (packets, truth) = sent(faults(), 3_000, 2);
    let path = capture_of(directory.path(), &packets, 64);
    let report = report(&[path.to_str().unwrap()]);
    let flow = &report["flows"][0];
    assert_eq!(flow["leg"]["since_start"]["packets"], truth.datagrams);
    assert_eq!(flow["leg"]["since_start"]["lost"].as_u64(), Some(truth.lost.frames().0 / 48));
    assert_eq!(flow["cut_packets"], truth.datagrams);
    assert!(report["remarks"][0].as_str().unwrap().contains("snap length"), "{}", report["remarks"]);
}

#[test]
fn what_cannot_be_read_is_said_in_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let name = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (packets, _) = sent(Impairments::default(), 100, 2);
    let path = capture_of(directory.path(), &packets, 262_144);
    let bytes = std::fs::read(&path).unwrap();

    std::fs::write(name("short.pcap"), &bytes[..bytes.len() - 100]).unwrap();
    let short = report(&[&name("short.pcap")]);
    assert_eq!(short["packets"], 99);
    assert!(short["remarks"][0].as_str().unwrap().contains("ends inside a packet"));

    std::fs::write(name("text"), "this is no capture, whatever its length may be").unwrap();
    assert_eq!(
        refusal(&[&name("text")]),
        (
            1,
            format!(
                "audyn: {} is no capture; give a pcap or pcapng file, as tcpdump and Wireshark write them\n",
                name("text")
            )
        )
    );
    assert_eq!(refusal(&[&name("none")]).0, 1);
    pcap(Path::new(&name("empty.pcap")), &[], 0);
    let (code, told) = refusal(&[&name("empty.pcap")]);
    assert!(code == 2 && told.contains("no RTP audio stream among 0 packets"), "{told}");
    let (code, told) = refusal(&[path.to_str().unwrap(), "--flow", "2"]);
    assert!(code == 2 && told.contains("has no stream 2"), "{told}");
    let (code, told) = refusal(&[path.to_str().unwrap(), "--channels", "5"]);
    assert!(code == 2 && told.contains("L24 with 2 channels or L16 with 3 channels"), "{told}");
    let (code, told) = refusal(&[path.to_str().unwrap(), "--pt", "98"]);
    assert!(code == 2 && told.contains("payload type 97, and none has 98"), "{told}");
    assert!(report(&[path.to_str().unwrap(), "--pt", "97"])["flows"][0]["payload_type"] == 97);
    let doubted = report(&[path.to_str().unwrap(), "-r", "96000"]);
    let remark = doubted["remarks"][0].as_str().unwrap();
    assert!(remark.starts_with("239.1.2.3:5004: the timestamps run at 48000 Hz"), "{remark}");
}

#[test]
fn one_is_told_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let lose = Event { at: FrameIndex(960), fault: Fault::Lose { packets: 1 } };
    let (packets, _) = sent(Impairments { events: vec![lose], ..Impairments::default() }, 100, 1);
    let path = capture_of(directory.path(), &packets, 262_144);
    let text = String::from_utf8(analyze(&[path.to_str().unwrap()]).stdout).unwrap();
    assert!(text.contains("48000 Hz, 1 channel, 48 frames"), "{text}");
    assert!(text.contains("filled with silence, in 1 gap\n"), "{text}");
}

/// A session description whose legs are these groups.
fn legs_sdp(directory: &Path, groups: &[u8], channels: u8) -> String {
    let mids: Vec<String> = groups.iter().map(|group| format!("m{group}")).collect();
    let mut text =
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=Legs\r\nt=0 0\r\na=group:DUP {}\r\n", mids.join(" "));
    for group in groups {
        text += &format!(
            "m=audio 5004 RTP/AVP 97\r\nc=IN IP4 239.1.2.{group}/32\r\na=rtpmap:97 L24/48000/{channels}\r\na=mid:m{group}\r\n"
        );
    }
    let path = directory.join("legs.sdp");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_not_merged_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("legs.pcap");
    let file = path.to_str().unwrap();
    let (packets, _) = sent(Impairments::default(), 1_000, 1);
    let merged = |report: &Value| report["merged"].as_array().unwrap().clone();

    // Three that carry the same: two are merged, the third is named, with a description and without.
    let three = packets.iter().flat_map(|(at, datagram)| {
        (3..6).map(|group| (at + i64::from(group) * 1_000, ethernet(group, datagram))).collect::<Vec<_>>()
    });
    pcap(&path, &three.collect::<Vec<_>>(), 262_144);
    let sdp = legs_sdp(directory.path(), &[3, 4, 5], 1);
    for (more, by) in [(&[][..], "payload"), (&["--sdp", &sdp], "sdp")] {
        let report = report(&[&[file][..], more].concat());
        let one = &merged(&report)[0];
        assert_eq!((one["flows"].to_string(), one["by"].as_str()), ("[1,2]".to_owned(), Some(by)));
        let second = one["legs"][1]["received"].as_u64().unwrap();
        assert!(second <= 1_000, "the third counts as the second: {second}");
        let remark = report["remarks"][0].as_str().unwrap();
        assert!(
            remark.starts_with("239.1.2.5:5004 ") && remark.contains("left out of what is merged"),
            "{remark}"
        );
    }

    // Disjoint loss and two sources' names: nothing but a description tells.
    let other = |datagram: &[u8]| {
        let mut other = datagram.to_vec();
        other[8..12].copy_from_slice(&9_u32.to_be_bytes());
        other
    };
    let halves = packets.iter().enumerate().map(|(n, (at, datagram))| {
        (*at, if n % 2 == 0 { ethernet(3, datagram) } else { ethernet(4, &other(datagram)) })
    });
    pcap(&path, &halves.collect::<Vec<_>>(), 262_144);
    let alone = report(&[file]);
    let remark = alone["remarks"][0].as_str().unwrap();
    assert!(merged(&alone).is_empty() && remark.contains("give the SDP that joins them"), "{remark}");
    let told = report(&[file, "--sdp", &legs_sdp(directory.path(), &[3, 4], 1)]);
    assert_eq!((merged(&told).len(), told["remarks"].to_string()), (1, "[]".to_owned()));

    // A description that contradicts itself joins nothing.
    let sdp = legs_sdp(directory.path(), &[3, 4], 1);
    let text = std::fs::read_to_string(&sdp).unwrap().replacen("97 L24/48000/1", "97 L24/48000/2", 1);
    std::fs::write(&sdp, text).unwrap();
    let contrary = report(&[file, "--sdp", &sdp, "--channels", "1"]);
    let remark = contrary["remarks"][0].as_str().unwrap();
    assert!(
        merged(&contrary).is_empty()
            && remark.starts_with("nothing is merged by the SDP \"Legs\": ")
            && remark.contains("channels 2 by line 8 and 1 by line 12"),
        "{remark}"
    );
}

#[test]
fn a_description_is_believed_before_a_guess() {
    let directory = tempfile::tempdir().unwrap();
    let (packets, _) = sent(Impairments::default(), 500, 2);
    let path = capture_of(directory.path(), &packets, 262_144);
    let sdp = directory.path().join("three.sdp");
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=Three\r\nc=IN IP4 239.1.2.3/32\r\nt=0 0\r\nm=audio 5004 RTP/AVP 97\r\n\
                a=rtpmap:97 L16/48000/3\r\na=ptime:1\r\n";
    std::fs::write(&sdp, text).unwrap();
    let report = report(&[path.to_str().unwrap(), "--sdp", sdp.to_str().unwrap()]);
    let flow = &report["flows"][0];
    assert_eq!(
        (flow["encoding"].as_str(), flow["channels"].as_u64(), flow["guessed"].to_string()),
        (Some("L16"), Some(3), "[]".to_owned())
    );
}

#[test]
fn a_capture_is_sent_again_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (packets, _) = sent(faults(), 300, 2);
    let path = capture_of(directory.path(), &packets, 262_144);
    let ear = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let port = ear.local_addr().unwrap().port().to_string();
    let command = ["send", "-m", "127.0.0.1", "-p", &port, "--pcap", path.to_str().unwrap(), "--json"];
    let mut sender = Command::new(env!("CARGO_BIN_EXE_audyn"));
    let child = sender
        .args(command)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut buffer = [0; 2_048];
    for (n, (_, datagram)) in packets.iter().enumerate() {
        let length = ear.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], &datagram[..], "datagram {n}");
    }
    let summary: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(
        (summary["datagrams"].as_u64(), summary["cut"].as_u64()),
        (Some(packets.len() as u64), Some(0))
    );
    let refused =
        Command::new(env!("CARGO_BIN_EXE_audyn")).args(command).args(["--loss", "1%"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "what is captured is not impaired");
}
