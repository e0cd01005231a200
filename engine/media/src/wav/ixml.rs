//! The chunk iXML: what `bext` has no field for. Tracks by name, the rate of the timecode, and in a block of our own the position and
//! how well it is known.
//!
//! The elements are those of the iXML specification 2.x. Beside them stands `<AUDYN>`, which holds [`Facts`] as they are: what is read
//! back is what was written, but for texts that were cut.
//!
//! No picture belongs to the audio, so no frame rate is known; the timecode is told at 25 frames a second, and what counts is the
//! number of samples since midnight.

use std::fmt::Write as _;

use audyn_units::{FrameCount, FrameIndex};

use super::bext;
use crate::{Facts, WavSpec};

/// Lengths of a track's name that are tried, in characters.
const NAMES: [usize; 7] = [128, 64, 32, 24, 16, 12, 8];

/// Characters of any other text.
const MOST: usize = 64;

/// The document, of at most `room` bytes: names are cut until all tracks fit, and then the last tracks are left out. How many there
/// are is told in any case. None if there is no room even without tracks.
pub(super) fn encode(spec: WavSpec, facts: &Facts, room: usize) -> Option<String> {
    let head = head(spec, facts);
    let tail = "</TRACK_LIST></BWFXML>";
    let room = room.checked_sub(head.len() + tail.len())?;
    let tracks =
        |name: usize| (0..spec.channels.get()).map(move |n| track(n + 1, facts.channel_names.get(n), name));
    let fits = |name: &&usize| tracks(**name).map(|track| track.len()).sum::<usize>() <= room;
    let name = *NAMES.iter().find(fits).unwrap_or(&NAMES[NAMES.len() - 1]);
    let mut list = String::new();
    for track in tracks(name) {
        if list.len() + track.len() > room {
            break;
        }
        list += &track;
    }
    Some(head + &list + tail)
}

/// All before the tracks.
fn head(spec: WavSpec, facts: &Facts) -> String {
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<BWFXML><IXML_VERSION>2.10</IXML_VERSION>");
    let placed = !facts.start_utc.is_empty();
    let project = if facts.description.is_empty() { &facts.recorder } else { &facts.description };
    element(&mut xml, "PROJECT", project);
    element(&mut xml, "TAPE", &facts.recorder);
    if let Some((date, _)) = bext::date_and_time(&facts.start_named).filter(|_| placed) {
        element(&mut xml, "SCENE", date);
    }
    if placed {
        element(&mut xml, "FILE_UID", &bext::reference(facts));
    }
    xml += "<SPEED><MASTER_SPEED>25/1</MASTER_SPEED><CURRENT_SPEED>25/1</CURRENT_SPEED>\
            <TIMECODE_RATE>25/1</TIMECODE_RATE><TIMECODE_FLAG>NDF</TIMECODE_FLAG>";
    let rate = spec.rate.hz();
    number(&mut xml, "FILE_SAMPLE_RATE", rate);
    number(&mut xml, "AUDIO_BIT_DEPTH", spec.depth.bits());
    number(&mut xml, "DIGITIZER_SAMPLE_RATE", rate);
    if placed {
        number(&mut xml, "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI", facts.since_midnight.0 >> 32);
        number(&mut xml, "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO", facts.since_midnight.0 & u64::from(u32::MAX));
        number(&mut xml, "TIMESTAMP_SAMPLE_RATE", rate);
    }
    xml += "</SPEED>";
    if placed {
        audyn(&mut xml, facts);
    }
    xml += "<TRACK_LIST>";
    number(&mut xml, "TRACK_COUNT", spec.channels.get());
    xml
}

fn audyn(xml: &mut String, facts: &Facts) {
    *xml += "<AUDYN>";
    element(xml, "RECORDER", &facts.recorder);
    element(xml, "DESCRIPTION", &facts.description);
    element(xml, "ORIGINATOR", &facts.originator);
    number(xml, "FIRST_POSITION", facts.first.0);
    element(xml, "START_UTC", &facts.start_utc);
    element(xml, "START_NAMED", &facts.start_named);
    if let Some(seconds) = facts.tai_minus_utc {
        number(xml, "TAI_MINUS_UTC", seconds);
    }
    for (name, word) in [("PLACED_BY", &facts.placed_by), ("CLOCK", &facts.clock)] {
        if let Some(word) = word {
            element(xml, name, word);
        }
    }
    *xml += "</AUDYN>";
}

/// One track; the file's channels are the recorder's, in order.
fn track(n: usize, name: Option<&String>, most: usize) -> String {
    let mut xml =
        format!("<TRACK><CHANNEL_INDEX>{n}</CHANNEL_INDEX><INTERLEAVE_INDEX>{n}</INTERLEAVE_INDEX>");
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        xml += "<NAME>";
        escape(&mut xml, name, most);
        xml += "</NAME>";
    }
    xml + "</TRACK>"
}

fn number(xml: &mut String, name: &str, number: impl std::fmt::Display) {
    let _ = write!(xml, "<{name}>{number}</{name}>"); // a string takes everything
}

fn element(xml: &mut String, name: &str, text: &str) {
    let _ = write!(xml, "<{name}>");
    escape(xml, text, MOST);
    let _ = write!(xml, "</{name}>");
}

/// At most `most` characters; those that XML 1.0 knows no way to write become spaces.
fn escape(xml: &mut String, text: &str, most: usize) {
    for c in text.chars().take(most) {
        match c {
            '&' => *xml += "&amp;",
            '<' => *xml += "&lt;",
            '>' => *xml += "&gt;",
            '\u{FFFE}' | '\u{FFFF}' => xml.push(' '),
            c if c.is_control() => xml.push(' '),
            c => xml.push(c),
        }
    }
}

/// The facts that a file of ours tells; none of another's.
pub(super) fn decode(body: &[u8]) -> Option<Facts> {
    let xml = std::str::from_utf8(body).ok()?.trim_end_matches('\0');
    let own = within(xml, "AUDYN")?;
    let text = |name| within(own, name).map(plain).unwrap_or_default();
    let half = |name| within(xml, name)?.parse::<u32>().ok().map(u64::from);
    let (high, low) =
        (half("TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI")?, half("TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO")?);
    let tracks = within(xml, "TRACK_LIST").unwrap_or_default();
    let names = tracks.split("<TRACK>").skip(1);
    let mut channel_names: Vec<String> =
        names.map(|track| within(track, "NAME").map(plain).unwrap_or_default()).collect();
    let named = channel_names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    channel_names.truncate(named);
    Some(Facts {
        recorder: text("RECORDER"),
        description: text("DESCRIPTION"),
        originator: text("ORIGINATOR"),
        first: FrameIndex(within(own, "FIRST_POSITION")?.parse().ok()?),
        start_utc: text("START_UTC"),
        start_named: text("START_NAMED"),
        since_midnight: FrameCount(high << 32 | low),
        tai_minus_utc: within(own, "TAI_MINUS_UTC").and_then(|seconds| seconds.parse().ok()),
        placed_by: within(own, "PLACED_BY").map(plain),
        clock: within(own, "CLOCK").map(plain),
        channel_names,
    })
}

/// What stands between the first tags of this name.
fn within<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    after.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, SampleRate};

    use super::*;
    use crate::PcmDepth;

    fn spec(channels: u8) -> WavSpec {
        let channels = ChannelCount::new(channels).unwrap();
        WavSpec { rate: SampleRate::HZ_48000, channels, depth: PcmDepth::Pcm24 }
    }

    fn facts() -> Facts {
        Facts {
            recorder: "studio-1".to_owned(),
            description: "Köln <1> & \"2\"".to_owned(),
            originator: "Audyn 0.1.0".to_owned(),
            first: FrameIndex(85_584_000_024_000),
            start_utc: "2026-07-02T13:46:03.5Z".to_owned(),
            start_named: "2026-07-02T14:46:03.5+01:00".to_owned(),
            since_midnight: FrameCount(0x1_2345_6789),
            tai_minus_utc: Some(37),
            placed_by: Some("media-clock".to_owned()),
            clock: Some("ptp-locked".to_owned()),
            channel_names: vec!["Left &amp;".to_owned(), String::new(), "<C>".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let xml = encode(spec(4), &facts(), 4_000).unwrap();
        assert_eq!(decode(xml.as_bytes()), Some(facts()));
        for part in [
            "<PROJECT>Köln &lt;1&gt; &amp; \"2\"</PROJECT>",
            "<FILE_SAMPLE_RATE>48000</FILE_SAMPLE_RATE><AUDIO_BIT_DEPTH>24</AUDIO_BIT_DEPTH>",
            "<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>1</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>\
             <TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>591751049</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>",
            "<FIRST_POSITION>85584000024000</FIRST_POSITION>",
            "<TRACK_COUNT>4</TRACK_COUNT><TRACK><CHANNEL_INDEX>1</CHANNEL_INDEX>\
             <INTERLEAVE_INDEX>1</INTERLEAVE_INDEX><NAME>Left &amp;amp;</NAME></TRACK>",
        ] {
            assert!(xml.contains(part), "{part} in {xml}");
        }
        let bare = Facts { tai_minus_utc: None, placed_by: None, clock: None, ..facts() };
        assert_eq!(decode(encode(spec(4), &bare, 4_000).unwrap().as_bytes()), Some(bare));
    }

    #[test]
    fn names_are_cut_before_a_track_is_left_out() {
        let names = |channels: u8, room| {
            let channel_names = (0..channels).map(|_| "x".repeat(100)).collect();
            let xml = encode(spec(channels), &Facts { channel_names, ..facts() }, room).unwrap();
            assert!(xml.len() <= room && xml.ends_with("</BWFXML>"));
            assert!(xml.contains(&format!("<TRACK_COUNT>{channels}</TRACK_COUNT>")));
            decode(xml.as_bytes()).unwrap().channel_names.iter().map(String::len).collect::<Vec<_>>()
        };
        assert_eq!(names(8, 3_340), [100; 8]);
        assert_eq!(names(16, 3_340), [32; 16]);
        assert_eq!(names(19, 3_340), [16; 19]);
        assert_eq!(names(64, 3_340), [8; 20], "the others have no room");
    }

    #[test]
    fn a_file_of_another_or_without_an_instant_tells_no_facts() {
        let unplaced = encode(spec(1), &Facts { start_utc: String::new(), ..facts() }, 4_000).unwrap();
        assert!(!unplaced.contains("MIDNIGHT") && !unplaced.contains("FILE_UID"), "{unplaced}");
        for body in [unplaced.as_bytes(), b"", b"<BWFXML/>", b"<AUDYN>", b"\xFF\xFE", b"<AUDYN></AUDYN>"] {
            assert_eq!(decode(body), None);
        }
    }

    #[test]
    fn no_character_breaks_the_document() {
        let odd = Facts { recorder: "a\0\n\u{FFFF}]]>".to_owned(), ..facts() };
        let xml = encode(spec(1), &odd, 4_000).unwrap();
        assert_eq!(encode(spec(1), &odd, 500), None);
        assert!(xml.contains("<TAPE>a   ]]&gt;</TAPE>"), "{xml}");
    }
}
