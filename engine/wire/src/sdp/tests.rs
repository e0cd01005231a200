//! Descriptions as they occur, and as they should not.

use std::format;
use std::net::{IpAddr, Ipv4Addr};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use audyn_units::{ChannelCount, Encoding, PayloadType, SampleRate};
use proptest::prelude::*;

use super::*;

/// Conformant: nothing in it is odd.
const PLAIN: &str = "v=0\r
o=- 1311738121 1311738121 IN IP4 192.168.1.1\r
s=Stage left I/O\r
c=IN IP4 239.0.0.1/32\r
t=0 0\r
m=audio 5004 RTP/AVP 96\r
c=IN IP4 239.0.0.1/32\r
i=Channels 1-8\r
a=rtpmap:96 L24/48000/8\r
a=recvonly\r
a=ptime:1\r
a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0\r
a=mediaclk:direct=963214424\r
";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// [`PLAIN`] with one text put in another's place; both must be there.
fn with(old: &str, new: &str) -> String {
    assert!(PLAIN.contains(old), "{old}");
    PLAIN.replace(old, new)
}

fn plain_flow() -> Media {
    Media {
        section: 0,
        address: ip("239.0.0.1"),
        port: 5004,
        ttl: Some(32),
        payload_type: PayloadType::DYNAMIC,
        encoding: Encoding::L24,
        rate: SampleRate::HZ_48000,
        channels: ChannelCount::new(8).unwrap(),
        packet_frames: Some(48),
        source_filter: vec![],
        media_clock_offset: Some(963_214_424),
        ref_clock: Some("ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0".into()),
        mid: None,
        channel_names: vec![],
        channel_order: None,
    }
}

#[test]
fn a_conformant_description_is_read_whole_and_nothing_is_odd() {
    let session = Session::parse(PLAIN).unwrap();
    assert_eq!(session.oddities, Vec::<String>::new());
    assert_eq!(session.name, "Stage left I/O");
    let origin = session.origin.as_ref().unwrap();
    assert_eq!((origin.session_id.as_str(), origin.version), ("1311738121", 1_311_738_121));
    assert_eq!((origin.username.as_ref(), origin.address.as_str()), (None, "192.168.1.1"));
    assert_eq!(session.media, [plain_flow()]);
    assert_eq!(session.flow(), Ok(&plain_flow()));
    assert_eq!(session.legs().unwrap(), [&plain_flow()]);
}

/// Each is [`PLAIN`] with one change that a sender of the field makes: what is read differs as said, and the
/// oddity is told.
#[test]
fn what_exists_in_the_wild_is_taken_and_told() {
    type Change = fn(&mut Media);
    let same: Change = |_| {};
    let c_media = "m=audio 5004 RTP/AVP 96\r\nc=IN IP4 239.0.0.1/32\r\n";
    let cases: &[(&str, String, Change, &str)] = &[
        (
            "c= at session level only",
            with(c_media, "m=audio 5004 RTP/AVP 96\r\n"),
            same,
            "only at the session",
        ),
        ("LF", PLAIN.replace('\r', ""), same, "LF instead of CRLF"),
        ("CR", PLAIN.replace('\n', ""), same, "CR instead of CRLF"),
        ("byte order mark", format!("\u{feff}{PLAIN}"), same, "byte order mark"),
        ("NUL at the end", format!("{PLAIN}\0\0"), same, "NUL"),
        ("blanks around lines", with("a=ptime:1\r", "  a=ptime:1 \t\r"), same, "blanks"),
        ("two blanks in m=", with("m=audio 5004", "m=audio  5004"), same, "more than one blank"),
        ("no t=", with("t=0 0\r\n", ""), same, "no t= line"),
        ("no o=", with("o=- 1311738121 1311738121 IN IP4 192.168.1.1\r\n", ""), same, "no o= line"),
        ("o= with a blank in the name", with("o=- ", "o=the box "), same, "Line 2 (o=)"),
        ("o= with a version that is no number", with("1311738121 IN", "v1 IN"), same, "Line 2 (o=)"),
        ("keywds", format!("{PLAIN}a=keywds:Dante\r\n"), same, "keywds"),
        ("framecount", format!("{PLAIN}a=framecount:48\r\n"), same, "framecount"),
        ("framecount differs", format!("{PLAIN}a=framecount:6\r\n"), same, "means 48 frames, a=framecount 6"),
        ("no ptime", with("a=ptime:1\r\n", ""), |m| m.packet_frames = None, "no a=ptime"),
        (
            "framecount in the place of ptime",
            with("a=ptime:1\r\n", "a=framecount:16\r\n"),
            |m| m.packet_frames = Some(16),
            "framecount",
        ),
        ("ptime that is none", with("ptime:1\r", "ptime:-1\r"), |m| m.packet_frames = None, "ptime:-1"),
        ("ptime NaN", with("ptime:1\r", "ptime:NaN\r"), |m| m.packet_frames = None, "ptime:NaN"),
        ("ptime without end", with("ptime:1\r", "ptime:inf\r"), |m| m.packet_frames = None, "ptime:inf"),
        ("ptime too long", with("ptime:1\r", "ptime:4\r"), |m| m.packet_frames = Some(192), "4608 bytes"),
        ("no channels", with("48000/8", "48000"), |m| m.channels = ChannelCount::MONO, "means 1"),
        ("no TTL", PLAIN.replace("239.0.0.1/32", "239.0.0.1"), |m| m.ttl = None, "no TTL"),
        ("TTL that is none", PLAIN.replace("/32", "/many"), |m| m.ttl = None, "TTL in"),
        ("several groups", PLAIN.replace("/32", "/32/4"), same, "several groups"),
        ("several ports", with("5004 RTP", "5004/2 RTP"), same, "several ports"),
        ("feedback", with("RTP/AVP", "RTP/AVPF"), same, "RTP/AVPF"),
        ("inactive", with("recvonly", "inactive"), same, "inactive"),
        ("no ts-refclk", PLAIN.replace("a=ts-refclk", "a=nothing"), |m| m.ref_clock = None, "no a=ts-refclk"),
        (
            "no mediaclk",
            PLAIN.replace("a=mediaclk", "a=nothing"),
            |m| m.media_clock_offset = None,
            "no a=mediaclk",
        ),
        ("mediaclk:sender", with("direct=963214424", "sender"), |m| m.media_clock_offset = None, "no offset"),
        ("mediaclk negative", with("direct=", "direct=-"), |m| m.media_clock_offset = None, "no offset"),
        (
            "excluding filter",
            format!("{PLAIN}a=source-filter: excl IN IP4 239.0.0.1 10.0.0.9\r\n"),
            same,
            "whom to include",
        ),
        ("filter cut short", format!("{PLAIN}a=source-filter: incl IN\r\n"), same, "can't be read"),
        (
            "filter with a host's name",
            format!("{PLAIN}a=source-filter: incl IN IP4 * studio.example\r\n"),
            same,
            "studio.example",
        ),
        ("names that don't fit", with("i=Channels 1-8", "i=2 channels: L, R"), same, "names 2 channels"),
        ("a group of streams that are not there", with("t=0 0", "t=0 0\r\na=group:DUP a b"), same, "\"a\""),
    ];
    for (name, text, change, oddity) in cases {
        let session = Session::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut wanted = plain_flow();
        change(&mut wanted);
        assert_eq!(session.media, [wanted], "{name}");
        assert!(session.oddities.iter().any(|o| o.contains(oddity)), "{name}: {:?}", session.oddities);
    }
}

/// Changes that mean something or nothing, and are not odd.
#[test]
fn what_is_allowed_is_not_odd() {
    type Change = fn(&mut Media);
    let cases: &[(&str, String, Change)] = &[
        ("unicast", PLAIN.replace("239.0.0.1/32", "10.1.2.3"), |m| {
            m.address = ip("10.1.2.3");
            m.ttl = None;
        }),
        ("IPv6 group", PLAIN.replace("IP4 239.0.0.1/32", "IP6 ff3e::8000:1"), |m| {
            m.address = ip("ff3e::8000:1");
            m.ttl = None;
        }),
        ("lower case", with("L24/", "l24/"), |_| {}),
        ("L16", with("L24/", "L16/"), |m| m.encoding = Encoding::L16),
        ("44.1 kHz", with("/48000", "/44100"), |m| {
            m.rate = SampleRate::HZ_44100;
            m.packet_frames = Some(44);
        }),
        (
            "96 kHz, rounded 125 µs",
            PLAIN.replace("/48000/", "/96000/").replace("ptime:1", "ptime:0.12"),
            |m| {
                m.rate = SampleRate::HZ_96000;
                m.packet_frames = Some(12);
            },
        ),
        ("125 µs, rounded down", with("ptime:1", "ptime:0.12"), |m| m.packet_frames = Some(6)),
        ("125 µs, rounded up", with("ptime:1", "ptime:0.13"), |m| m.packet_frames = Some(6)),
        ("125 µs", with("ptime:1", "ptime:0.125"), |m| m.packet_frames = Some(6)),
        ("333 1/3 µs", with("ptime:1", "ptime:0.33"), |m| m.packet_frames = Some(16)),
        ("250 µs", with("ptime:1", "ptime: 0.25"), |m| m.packet_frames = Some(12)),
        ("Dante's offset", with("direct=963214424", "direct=2911906980"), |m| {
            m.media_clock_offset = Some(2_911_906_980);
        }),
        ("clock with an id", with("direct=963214424", "id=src:00:11 direct=5"), |m| {
            m.media_clock_offset = Some(5);
        }),
        ("clock with a rate", with("direct=963214424", "direct=5 rate=1000/1001"), |m| {
            m.media_clock_offset = Some(5);
        }),
        (
            "media clock: the section's wins",
            with("t=0 0", "t=0 0\r\na=mediaclk:direct=7\r\na=ts-refclk:local"),
            |_| {},
        ),
        (
            "clocks at session level",
            format!(
                "{}m=audio 5004 RTP/AVP 96\r\nc=IN IP4 239.0.0.1/32\r\na=rtpmap:96 L24/48000/8\r\na=ptime:1\r\n",
                "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=x\r\nt=0 0\r\na=mediaclk:direct=7\r\na=ts-refclk:local\r\n"
            ),
            |m| {
                m.media_clock_offset = Some(7);
                m.ref_clock = Some("local".into());
            },
        ),
        (
            "source filter for us",
            format!("{PLAIN}a=source-filter: incl IN IP4 239.0.0.1 10.0.0.9 10.0.0.8\r\n"),
            |m| m.source_filter = vec![ip("10.0.0.9"), ip("10.0.0.8")],
        ),
        ("source filter for all", format!("{PLAIN}a=source-filter: incl IN IP4 * 10.0.0.9\r\n"), |m| {
            m.source_filter = vec![ip("10.0.0.9")];
        }),
        (
            "source filter for another",
            format!("{PLAIN}a=source-filter: incl IN IP4 239.9.9.9 10.0.0.9\r\n"),
            |_| {},
        ),
        ("channel names", with("i=Channels 1-8", "i=8 channels: A, B, C, D, E, F, G, H"), |m| {
            m.channel_names = ["A", "B", "C", "D", "E", "F", "G", "H"].map(String::from).to_vec();
        }),
        ("channel order", format!("{PLAIN}a=fmtp:96 x=1; channel-order=SMPTE2110.(51,ST)\r\n"), |m| {
            m.channel_order = Some("SMPTE2110.(51,ST)".into());
        }),
        (
            "second payload type",
            PLAIN.replace("AVP 96", "AVP 97 96") + "a=rtpmap:97 AM824/48000/8\r\n",
            |_| {},
        ),
        ("a broken line that we don't need", with("t=0 0", "b=rubbish\r\nt=whenever"), |_| {}),
        ("blank lines", with("t=0 0\r\n", "\r\nt=0 0\r\n\r\n"), |_| {}),
        ("a line of a new kind", with("t=0 0", "y=what\r\nt=0 0"), |_| {}),
    ];
    for (name, text, change) in cases {
        let session = Session::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut wanted = plain_flow();
        change(&mut wanted);
        assert_eq!(session.media, [wanted], "{name}");
        assert_eq!(session.oddities, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn letters_that_are_not_utf8_cost_only_themselves() {
    let mut bytes = PLAIN.replace("Stage left", "St?ge left").into_bytes();
    let place = bytes.iter().position(|&b| b == b'?').unwrap();
    bytes[place] = 0xe4;
    let session = Session::parse(&bytes).unwrap();
    assert_eq!(session.name, "St\u{fffd}ge left I/O");
    assert_eq!(session.media, [plain_flow()]);
    assert!(session.oddities[0].contains("UTF-8"));
}

#[test]
fn static_payload_types_need_no_map() {
    let text = with("AVP 96", "AVP 10").replace("a=rtpmap:96 L24/48000/8\r\n", "");
    let flow = Session::parse(&text).unwrap().flow().unwrap().clone();
    assert_eq!(
        (flow.encoding, flow.rate, flow.channels),
        (Encoding::L16, SampleRate::HZ_44100, ChannelCount::STEREO)
    );
}

/// What can't be used says which line or stream, and why, in one sentence.
#[test]
fn errors_name_the_line_and_the_reason() {
    let stream = |text: String| Session::parse(text).unwrap().flow().unwrap_err();
    let whole = |text: String| Session::parse(text).unwrap_err();
    let cases = [
        ("empty", whole(String::new()), "v=0"),
        ("a page", whole("<html>\n".into()), "v=0"),
        ("version 1", whole(with("v=0", "v=1")), "v=0"),
        ("too long", whole("v=0\r\n".repeat(20_000)), "65536"),
        ("a line that is none", whole(with("t=0 0", "hello")), "line 5"),
        ("a port that is none", whole(with("5004", "port")), "line 6"),
        ("m= cut", whole(with(" RTP/AVP 96", "")), "line 6"),
        ("c= cut", whole(with("c=IN IP4 239.0.0.1/32\r\nt", "c=IN\r\nt")), "line 4"),
        ("NUL within", whole(with("a=ptime", "a=pt\0ime")), "line 11"),
        ("no stream", whole(PLAIN[..PLAIN.find("m=").unwrap()].to_string()), "no m= line"),
        ("video", stream(with("m=audio", "m=video")), "video, not audio"),
        ("encrypted", stream(with("RTP/AVP", "RTP/SAVP")), "RTP/SAVP"),
        ("switched off", stream(with("5004", "0")), "port is 0"),
        ("unknown encoding", stream(with("L24", "opus")), "opus"),
        ("unknown rate", stream(with("48000", "88200")), "88200"),
        ("no channel", stream(with("48000/8", "48000/0")), "\"0\" channels"),
        ("too many channels", stream(with("48000/8", "48000/65")), "\"65\" channels"),
        ("no map", stream(with("rtpmap:96", "rtpmap:97")), "rtpmap:96"),
        ("payload type that is none", stream(with("AVP 96", "AVP 128")), "\"128\""),
        ("no address", stream(PLAIN.replace("c=IN IP4 239.0.0.1/32\r\n", "")), "no c= line"),
        ("a host's name", stream(PLAIN.replace("239.0.0.1/32", "studio.example")), "studio.example"),
        ("no place to send to", stream(PLAIN.replace("239.0.0.1/32", "0.0.0.0")), "0.0.0.0"),
    ];
    for (name, error, part) in cases {
        let sentence = error.to_string();
        assert!(sentence.contains(part), "{name}: {sentence}");
        assert!(!sentence.contains('\n'), "{name}: {sentence}");
    }
}

#[test]
fn a_stream_that_cannot_be_received_does_not_hide_the_next() {
    let text = with("m=audio", "m=video 5000 RTP/AVP 96\r\nc=IN IP4 239.9.9.9/32\r\nm=audio");
    let session = Session::parse(text).unwrap();
    assert_eq!(session.flow().unwrap().address, ip("239.0.0.1"));
    assert_eq!(session.flow().unwrap().section, 1);
    assert_eq!(session.unusable.len(), 1);
}

#[test]
fn both_legs_of_a_duplicated_stream_are_found() {
    let leg = |group: &str, mid: &str| {
        format!(
            "m=audio 5004 RTP/AVP 98\r\nc=IN IP4 {group}/64\r\na=rtpmap:98 L24/48000/2\r\na=ptime:1\r\n\
             a=source-filter: incl IN IP4 {group} 10.0.0.9\r\na=ts-refclk:local\r\na=mediaclk:direct=0\r\na=mid:{mid}\r\n"
        )
    };
    let head = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=x\r\nt=0 0\r\n";
    let grouped = format!(
        "{head}a=group:DUP primary secondary\r\n{}{}{}",
        leg("239.1.0.1", "primary"),
        leg("239.1.0.3", "other"),
        leg("239.2.0.1", "secondary")
    );
    let session = Session::parse(&grouped).unwrap();
    assert_eq!(session.oddities, Vec::<String>::new());
    assert_eq!(session.media.len(), 3);
    let legs: Vec<IpAddr> = session.legs().unwrap().iter().map(|leg| leg.address).collect();
    assert_eq!(legs, [ip("239.1.0.1"), ip("239.2.0.1")]);

    // Without the group, nothing says that two streams carry the same.
    let ungrouped = grouped.replace("a=group:DUP primary secondary\r\n", "");
    assert_eq!(Session::parse(ungrouped).unwrap().legs().unwrap().len(), 1);

    // Two c= lines in one section (RFC 7104 §4.2); each leg keeps its own filter.
    let one = format!("{head}{}", leg("239.1.0.1", "a"))
        .replace("c=IN IP4 239.1.0.1/64", "c=IN IP4 239.1.0.1/64\r\nc=IN IP4 239.2.0.1/64");
    let session = Session::parse(one).unwrap();
    let legs = session.legs().unwrap();
    assert_eq!(legs.iter().map(|leg| leg.address).collect::<Vec<_>>(), [ip("239.1.0.1"), ip("239.2.0.1")]);
    assert_eq!((legs[0].source_filter.len(), legs[1].source_filter.len()), (1, 0));
}

#[test]
fn a_dante_description_is_read() {
    let text = "v=0\no=- 1836023 1836024 IN IP4 169.254.98.63\ns=AOIP44-serial-1614 : 2\ni=2 channels: Left, Right\n\
        c=IN IP4 239.65.45.154/32\nt=0 0\na=keywds:Dante\nm=audio 5004 RTP/AVP 97\na=recvonly\na=rtpmap:97 L24/48000/2\n\
        a=ptime:1\na=ts-refclk:ptp=IEEE1588-2008:00-1D-C1-FF-FE-0E-10-C4:0\na=mediaclk:direct=2911906980\n";
    let session = Session::parse(text).unwrap();
    let flow = session.flow().unwrap();
    assert_eq!(flow.channel_names, ["Left", "Right"]);
    assert_eq!((flow.payload_type.get(), flow.media_clock_offset), (97, Some(2_911_906_980)));
    assert_eq!(session.oddities.len(), 3, "{:?}", session.oddities);
}

fn descriptions() -> impl Strategy<Value = Description> {
    let address = prop_oneof![
        (224u8..240, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| IpAddr::from([a, b, c, d])),
        (1u8..224, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| IpAddr::from([a, b, c, d])),
        any::<[u8; 15]>().prop_map(|rest| {
            let mut bytes = [0xff; 16];
            bytes[1..].copy_from_slice(&rest);
            IpAddr::from(bytes)
        }),
    ];
    let format = (0u8..128, any::<bool>(), 0usize..3, 1u8..=64, 1u32..=384);
    let words = ("[!-~]([ -~]{0,30}[!-~])?", any::<u64>(), any::<u64>(), any::<u32>(), any::<u8>());
    (address, any::<u32>(), 1u16.., format, words, any::<bool>()).prop_map(
        |(
            address,
            origin,
            port,
            (pt, wide, rate, channels, packet_frames),
            (name, id, version, offset, ttl),
            ssm,
        )| {
            Description {
                name,
                session_id: id,
                version,
                origin: Ipv4Addr::from(origin).into(),
                address,
                port,
                ttl,
                payload_type: PayloadType::new(pt).unwrap(),
                encoding: if wide { Encoding::L24 } else { Encoding::L16 },
                rate: [SampleRate::HZ_44100, SampleRate::HZ_48000, SampleRate::HZ_96000][rate],
                channels: ChannelCount::new(channels).unwrap(),
                packet_frames,
                media_clock_offset: offset,
                ref_clock: "local".into(),
                source_specific: ssm,
            }
        },
    )
}

#[test]
fn what_is_written_is_what_aes67_shows() {
    let description = Description {
        name: "Studio 1".into(),
        session_id: 17,
        version: 3,
        origin: ip("192.168.1.1"),
        address: ip("239.0.0.1"),
        port: 5004,
        ttl: 32,
        payload_type: PayloadType::DYNAMIC,
        encoding: Encoding::L24,
        rate: SampleRate::HZ_48000,
        channels: ChannelCount::STEREO,
        packet_frames: 6,
        media_clock_offset: 5,
        ref_clock: "local".into(),
        source_specific: true,
    };
    let wanted = "v=0\r\no=- 17 3 IN IP4 192.168.1.1\r\ns=Studio 1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 96\r\n\
        c=IN IP4 239.0.0.1/32\r\na=source-filter: incl IN IP4 239.0.0.1 192.168.1.1\r\na=rtpmap:96 L24/48000/2\r\n\
        a=ptime:0.125\r\na=ts-refclk:local\r\na=mediaclk:direct=5\r\na=recvonly\r\n";
    assert_eq!(description.to_sdp(), wanted);
    // A name is text of a person: it must not become lines of its own.
    let forged = Description { name: "a\r\nm=audio 1 RTP/AVP 96".into(), ..description };
    assert_eq!(Session::parse(forged.to_sdp()).unwrap().media.len(), 1);
}

proptest! {
    #[test]
    fn what_is_written_is_read(description in descriptions()) {
        let text = description.to_sdp();
        let session = Session::parse(&text).unwrap();
        let flow = session.flow().unwrap();
        prop_assert_eq!(&session.name, &description.name);
        let origin = session.origin.as_ref().unwrap();
        prop_assert_eq!(&origin.session_id, &description.session_id.to_string());
        prop_assert_eq!(origin.version, description.version);
        prop_assert_eq!(&origin.address, &description.origin.to_string());
        let multicast_v4 = description.address.is_ipv4() && description.address.is_multicast();
        prop_assert_eq!(flow, &Media {
            section: 0,
            address: description.address,
            port: description.port,
            ttl: multicast_v4.then_some(description.ttl),
            payload_type: description.payload_type,
            encoding: description.encoding,
            rate: description.rate,
            channels: description.channels,
            packet_frames: Some(description.packet_frames),
            source_filter: if description.source_specific { vec![description.origin] } else { vec![] },
            media_clock_offset: Some(description.media_clock_offset),
            ref_clock: Some(description.ref_clock.clone()),
            mid: None,
            channel_names: vec![],
            channel_order: None,
        });
        let payload = description.encoding.frame_bytes(description.channels) * description.packet_frames as usize;
        prop_assert_eq!(session.oddities.is_empty(), payload <= 1440, "{:?}", session.oddities);
    }

    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = Session::parse(bytes);
    }

    #[test]
    fn any_text_after_the_first_line_is_judged(lines in prop::collection::vec("[vosciatmbkzr]=.{0,40}", 0..12)) {
        let _ = Session::parse(format!("v=0\n{}", lines.join("\n")));
    }

    #[test]
    fn a_damaged_description_is_judged(place in 0..PLAIN.len(), byte: u8, cut in 0..PLAIN.len()) {
        let mut bytes = PLAIN.as_bytes().to_vec();
        bytes[place] = byte;
        let _ = Session::parse(&bytes).map(|session| session.flow().cloned());
        let _ = Session::parse(&bytes[..cut]).map(|session| session.flow().cloned());
    }
}

#[test]
fn a_stream_that_is_sent_twice_is_read_as_two_legs() {
    let description = Description {
        name: "Air".into(),
        session_id: 7,
        version: 0,
        origin: ip("192.0.2.1"),
        address: ip("239.1.0.1"),
        port: 5004,
        ttl: 32,
        payload_type: PayloadType::DYNAMIC,
        encoding: Encoding::L24,
        rate: SampleRate::HZ_48000,
        channels: ChannelCount::STEREO,
        packet_frames: 48,
        media_clock_offset: 5,
        ref_clock: "local".into(),
        source_specific: false,
    };
    let session = Session::parse(description.to_sdp_of_two("239.2.0.1:5006".parse().unwrap())).unwrap();
    assert_eq!(session.oddities, Vec::<String>::new());
    let legs: Vec<_> = session.legs().unwrap().iter().map(|leg| (leg.address, leg.port)).collect();
    assert_eq!(legs, [(ip("239.1.0.1"), 5004), (ip("239.2.0.1"), 5006)]);
    assert_eq!(Session::parse(description.to_sdp()).unwrap().legs().unwrap().len(), 1);
}
