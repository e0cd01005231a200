//! Two legs that agree, and every way in which they can't.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::super::{SdpError, Session};

/// Two legs of a stream, with the lines numbered from 1: the group is line 5, the legs' `m=` lines are 6 and 14.
const TWO: &str = "v=0\r
o=- 1 1 IN IP4 10.0.0.9\r
s=Air\r
t=0 0\r
a=group:DUP 1 2\r
m=audio 5004 RTP/AVP 98\r
c=IN IP4 239.1.0.1/64\r
a=rtpmap:98 L24/48000/2\r
a=ptime:1\r
a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0\r
a=mediaclk:direct=7\r
a=fmtp:98 channel-order=SMPTE2110.(ST)\r
a=mid:1\r
m=audio 5004 RTP/AVP 98\r
c=IN IP4 239.2.0.1/64\r
a=rtpmap:98 L24/48000/2\r
a=ptime:1\r
a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0\r
a=mediaclk:direct=7\r
a=fmtp:98 channel-order=SMPTE2110.(ST)\r
a=mid:2\r
";

/// [`TWO`] with one text put in another's place in the second leg alone.
fn second(old: &str, new: &str) -> String {
    let at = TWO.rfind("m=audio").unwrap();
    assert!(TWO[at..].contains(old), "{old}");
    format!("{}{}", &TWO[..at], TWO[at..].replace(old, new))
}

/// [`TWO`] with one text put in another's place, once.
fn with(old: &str, new: &str) -> String {
    assert!(TWO.contains(old), "{old}");
    TWO.replacen(old, new, 1)
}

/// The addresses of the legs, and what was odd.
fn legs(text: &str) -> (Vec<String>, Vec<String>) {
    let session = Session::parse(text).unwrap();
    let legs = session.legs().unwrap().iter().map(|leg| leg.address.to_string()).collect();
    (legs, session.oddities.clone())
}

#[test]
fn legs_that_contradict_each_other_are_refused_by_their_lines() {
    let cases = [
        ("encoding", second("L24", "L16"), "encoding L24 by line 8 and L16 by line 16"),
        ("rate", second("48000", "96000"), "sample rate 48000 Hz by line 8 and 96000 Hz by line 16"),
        ("channels", second("48000/2", "48000/8"), "channels 2 by line 8 and 8 by line 16"),
        (
            "packet time",
            second("ptime:1", "ptime:0.125"),
            "packets of 48 frames by line 9 and 6 frames by line 17",
        ),
        (
            "packet time by framecount",
            second("ptime:1", "framecount:96"),
            "packets of 48 frames by line 9 and 96 frames by line 17",
        ),
        ("media clock", second("direct=7", "direct=8"), "a=mediaclk offset 7 by line 11 and 8 by line 19"),
        (
            "two at once",
            second("L24/48000/2", "L16/48000/8"),
            "encoding L24 by line 8 and L16 by line 16, channels 2 by line 8 and 8 by line 16, and legs",
        ),
        (
            "the session's word against the leg's",
            with("a=ptime:1\r\n", "").replacen("t=0 0", "t=0 0\r\na=ptime:4", 1),
            "packets of 192 frames by line 5 and 48 frames by line 17",
        ),
        (
            "a static payload type",
            second("AVP 98", "AVP 11"),
            "sample rate 48000 Hz by line 8 and 44100 Hz by line 14",
        ),
        (
            "a name twice in the group",
            with("DUP 1 2", "DUP 1 2 1"),
            "line 5 (a=group:DUP 1 2 1) names \"1\" twice",
        ),
        ("a group of one with itself", with("DUP 1 2", "DUP 1 1"), "names \"1\" twice"),
        ("one name for both", second("mid:2", "mid:1"), "line 13 and line 21 both say a=mid:1, so line 5"),
        (
            "one name for two streams",
            format!("{TWO}{}", TWO[TWO.rfind("m=audio").unwrap()..].replace("239.2", "239.3")),
            "line 21 and line 29 both say a=mid:2, so line 5 (a=group:DUP 1 2) may mean either stream",
        ),
        (
            "two names for one stream",
            second("a=mid:2", "a=mid:2\r\na=mid:3"),
            "line 21 and line 22 give one stream two names, \"2\" and \"3\"",
        ),
        (
            "a leg that is another medium",
            second("m=audio", "m=video"),
            "\"2\", which can't be received: it is video",
        ),
        (
            "a leg that is no PCM",
            second("L24", "AM824"),
            "\"2\", which can't be received: its encoding is AM824",
        ),
    ];
    for (name, text, part) in cases {
        let session = Session::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let error = session.legs().expect_err(name);
        let sentence = error.to_string();
        assert!(matches!(error, SdpError::Legs { .. }) && sentence.contains(part), "{name}: {sentence}");
        assert!(sentence.ends_with("; ask the sender for its SDP again"), "{name}: {sentence}");
        // One of them alone is still a stream.
        assert_eq!(session.flow().unwrap().address.to_string(), "239.1.0.1", "{name}");
    }
}

#[test]
fn what_legs_may_differ_in_is_not_odd() {
    let cases = [
        ("nothing", TWO.to_string()),
        ("port", second("5004", "5006")),
        ("TTL", second("/64", "/32")),
        ("reference clock", second("CB-D0:0", "CB-D1:1")),
        ("a source filter", format!("{TWO}a=source-filter: incl IN IP4 239.2.0.1 10.1.0.9\r\n")),
        (
            "a packet time that is rounded",
            TWO.replacen("ptime:1", "ptime:0.12", 1).replace("ptime:1", "ptime:0.125"),
        ),
        ("the order of the sections", with("DUP 1 2", "DUP 2 1")),
        ("the same group twice", with("a=group:DUP 1 2", "a=group:DUP 1 2\r\na=group:DUP 1 2")),
        ("a group of another kind", with("a=group:DUP 1 2", "a=group:DUP 1 2\r\na=group:LS 1 1 7")),
    ];
    for (name, text) in cases {
        let (legs, oddities) = legs(&text);
        assert_eq!(legs, ["239.1.0.1", "239.2.0.1"], "{name}");
        assert_eq!(oddities, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_odd_about_legs_is_told_and_taken() {
    let both: &[&str] = &["239.1.0.1", "239.2.0.1"];
    let alone = &both[..1];
    let cases = [
        ("order of channels", second("(ST)", "(M,M)"), both, "differ in the order of the channels"),
        (
            "names of channels",
            TWO.replacen("a=rtpmap", "i=2 channels: L, R\r\na=rtpmap", 1).replacen(
                "239.2.0.1/64\r\n",
                "239.2.0.1/64\r\ni=2 channels: A, B\r\n",
                1,
            ),
            both,
            "differ in the names of the channels",
        ),
        ("no packet time on one", second("a=ptime:1\r\n", ""), both, "no a=ptime"),
        ("no offset on one", second("direct=7", "sender"), both, "no offset"),
        ("a leg that is switched off", second("5004", "0"), alone, "\"2\" is switched off"),
        ("a leg on hold", second("239.2.0.1/64", "0.0.0.0"), alone, "\"2\" is switched off"),
        ("a leg on hold, with a TTL", second("239.2.0.1/64", "0.0.0.0/32"), alone, "\"2\" is switched off"),
        ("a leg on hold, of IPv6", second("IP4 239.2.0.1/64", "IP6 ::"), alone, "\"2\" is switched off"),
        (
            "the first on hold",
            with("239.1.0.1/64", "0.0.0.0"),
            &both[1..],
            "\"1\" is switched off at the sender, so the stream is not protected.",
        ),
        (
            "a name that nobody has",
            with("DUP 1 2", "DUP 1 3"),
            alone,
            "line 5 (a=group:DUP 1 3) names \"3\", and no stream has that a=mid, so the group joins nothing (RFC 5888 §6).",
        ),
        (
            "a leg whose section was left out",
            TWO[..TWO.rfind("m=audio").unwrap()].into(),
            alone,
            "line 5 (a=group:DUP 1 2) names \"2\", and no stream",
        ),
        (
            "payload types",
            second("98", "97"),
            alone,
            "The legs have payload type 98 by line 6 and 97 by line 14; a stream is received by one payload type, so the first leg is received",
        ),
        (
            "payload types, the other first",
            second("98", "97").replace("DUP 1 2", "DUP 2 1"),
            alone,
            "The legs have payload type 98 by line 6 and 97 by line 14;",
        ),
        ("a group of one", with("DUP 1 2", "DUP 1"), alone, "it joins nothing"),
        (
            "a group below a stream",
            second("a=mid:2", "a=mid:2\r\na=group:DUP 1 2").replacen("a=group:DUP 1 2\r\n", "", 1),
            alone,
            "line 21 stands below",
        ),
        (
            "a name twice that no group uses",
            second("mid:2", "mid:1").replace("a=group:DUP 1 2\r\n", ""),
            alone,
            "a=mid:1 stands twice, in line 12 and line 20",
        ),
        (
            "another stream's group",
            with("DUP 1 2", "DUP 2 2"),
            alone,
            "A group of duplicates contradicts itself: line 5",
        ),
    ];
    for (name, text, wanted, oddity) in cases {
        let (legs, oddities) = legs(&text);
        assert_eq!(legs, wanted, "{name}: {oddities:?}");
        assert!(oddities.iter().any(|odd| odd.contains(oddity)), "{name}: {oddities:?}");
    }
}

#[test]
fn a_stream_of_two_groups_has_the_legs_of_both() {
    let third = TWO[TWO.rfind("m=audio").unwrap()..].replace("239.2", "239.3").replace("mid:2", "mid:3");
    let text = with("a=group:DUP 1 2", "a=group:DUP 1 2\r\na=group:DUP 1 3") + &third;
    assert_eq!(legs(&text).0, ["239.1.0.1", "239.2.0.1", "239.3.0.1"]);
}
