//! The chunk `bext` of the Broadcast Wave Format: who recorded it, and when by the clock on the wall.
//!
//! EBU Tech 3285 version 2: 602 bytes of fields, then the coding history (EBU R 98) as text. All text is ASCII; another character
//! is told as `?` here, and as itself in iXML.
//!
//! Not given are the UMID, which is optional and zero then, and the loudness, which nobody knows while a file grows and which 0x7FFF
//! leaves open.

use audyn_units::FrameCount;

use crate::{Facts, PcmDepth, WavSpec};

/// Bytes before the coding history.
pub(super) const FIXED: usize = 602;

/// A loudness that is not known.
const UNSET: [u8; 2] = 0x7FFF_u16.to_le_bytes();

/// What `bext` of a file tells, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bext {
    /// What was recorded.
    pub description: String,
    /// The program or organisation that wrote it.
    pub originator: String,
    /// Its name for this recording, told apart from all its others.
    pub reference: String,
    /// `YYYY-MM-DD`; the separator may be another.
    pub date: String,
    /// `HH:MM:SS`.
    pub time: String,
    /// Frames from midnight to the first one.
    pub time_reference: FrameCount,
    /// Version of the chunk.
    pub version: u16,
    /// A line for each coding that the audio went through.
    pub coding_history: String,
}

/// A name for this recording that no other of this recorder has.
pub(super) fn reference(facts: &Facts) -> String {
    let position = facts.first.0.to_string();
    let recorder: String = facts.recorder.chars().take(31 - position.len()).collect();
    format!("{recorder}@{position}")
}

/// The body of the chunk; its length is even.
pub(super) fn encode(spec: WavSpec, facts: &Facts) -> Vec<u8> {
    let placed = !facts.start_utc.is_empty();
    let description = if facts.description.is_empty() { &facts.recorder } else { &facts.description };
    let (date, time) = date_and_time(&facts.start_named).filter(|_| placed).unwrap_or_default();
    let mut body = Vec::with_capacity(FIXED + 128);
    text(&mut body, description, 256);
    text(&mut body, &facts.originator, 32);
    text(&mut body, &if placed { reference(facts) } else { String::new() }, 32);
    text(&mut body, date, 10);
    text(&mut body, time, 8);
    body.extend(if placed { facts.since_midnight.0 } else { 0 }.to_le_bytes()); // low half, high half
    body.extend(2_u16.to_le_bytes());
    body.extend([0; 64]);
    for _loudness in 0..5 {
        body.extend(UNSET);
    }
    body.resize(FIXED, 0);
    body.extend(coding_history(spec, &facts.originator).bytes());
    if body.len() % 2 == 1 {
        body.push(0);
    }
    body
}

/// One line as EBU R 98 has it. It knows mono and stereo; more channels are told as a remark.
fn coding_history(spec: WavSpec, originator: &str) -> String {
    let mode = match spec.channels.get() {
        1 => ",M=mono",
        2 => ",M=stereo",
        _ => "",
    };
    let mut remark: String = ascii(originator).take(40).map(|c| if c == ',' { ';' } else { c }).collect();
    if spec.channels.get() > 2 {
        remark += &format!("; {} channels", spec.channels.get());
    }
    if spec.depth == PcmDepth::Float32 {
        remark += "; float";
    }
    format!("A=PCM,F={},W={}{mode},T={remark}\r\n", spec.rate.hz(), spec.depth.bits())
}

/// Date and time of day out of RFC 3339.
pub(super) fn date_and_time(instant: &str) -> Option<(&str, &str)> {
    let shape = instant.get(..19)?.bytes().zip("0000-00-00T00:00:00".bytes());
    let fits = |(c, wanted): (u8, u8)| if wanted == b'0' { c.is_ascii_digit() } else { c == wanted };
    let mut shape = shape;
    shape.all(fits).then(|| (&instant[..10], &instant[11..19]))
}

/// Text as this chunk can hold it.
fn ascii(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| match c {
        ' '..='~' => c,
        _ if c.is_control() => ' ',
        _ => '?',
    })
}

fn text(body: &mut Vec<u8>, text: &str, len: usize) {
    let end = body.len() + len;
    body.extend(ascii(text).take(len).map(|c| c as u8));
    body.resize(end, 0);
}

/// What a chunk tells; none if it is too short to be one.
pub(super) fn decode(body: &[u8]) -> Option<Bext> {
    let (fixed, history) = body.split_at_checked(FIXED)?;
    let told = |from: usize, len: usize| {
        let field = &fixed[from..from + len];
        let end = field.iter().position(|&b| b == 0).unwrap_or(len);
        String::from_utf8_lossy(&field[..end]).trim_end().to_owned()
    };
    let mut reference = [0; 8];
    reference.copy_from_slice(&fixed[338..346]);
    let end = history.iter().position(|&b| b == 0).unwrap_or(history.len());
    Some(Bext {
        description: told(0, 256),
        originator: told(256, 32),
        reference: told(288, 32),
        date: told(320, 10),
        time: told(330, 8),
        time_reference: FrameCount(u64::from_le_bytes(reference)),
        version: u16::from_le_bytes([fixed[346], fixed[347]]),
        coding_history: String::from_utf8_lossy(&history[..end]).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use audyn_units::{ChannelCount, FrameIndex, SampleRate};

    use super::*;

    fn spec(channels: u8, depth: PcmDepth) -> WavSpec {
        WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::new(channels).unwrap(), depth }
    }

    fn facts() -> Facts {
        Facts {
            recorder: "studio-1".to_owned(),
            description: "Studio Köln".to_owned(),
            originator: "Audyn 0.1.0".to_owned(),
            first: FrameIndex(85_584_000_024_000),
            start_utc: "2026-07-02T13:46:03.5Z".to_owned(),
            start_named: "2026-07-02T14:46:03.5+01:00".to_owned(),
            since_midnight: FrameCount(0x1_2345_6789),
            ..Facts::default()
        }
    }

    #[test]
    fn each_field_lies_where_tech_3285_has_it() {
        let body = encode(spec(2, PcmDepth::Pcm24), &facts());
        let mut wanted = vec![0; 602];
        let mut put = |at: usize, bytes: &[u8]| wanted[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"Studio K?ln");
        put(256, b"Audyn 0.1.0");
        put(288, b"studio-1@85584000024000");
        put(320, b"2026-07-0214:46:03");
        put(338, &[0x89, 0x67, 0x45, 0x23, 0x01, 0, 0, 0]);
        put(346, &[2, 0]);
        put(412, &[0xFF, 0x7F, 0xFF, 0x7F, 0xFF, 0x7F, 0xFF, 0x7F, 0xFF, 0x7F]);
        wanted.extend(b"A=PCM,F=48000,W=24,M=stereo,T=Audyn 0.1.0\r\n\0");
        assert_eq!(body, wanted);
        let told = decode(&body).unwrap();
        assert_eq!(told.time_reference, facts().since_midnight);
        assert_eq!((told.date.as_str(), told.time.as_str(), told.version), ("2026-07-02", "14:46:03", 2));
        assert_eq!(told.reference, "studio-1@85584000024000");
        assert_eq!(told.coding_history, "A=PCM,F=48000,W=24,M=stereo,T=Audyn 0.1.0\r\n");
        assert_eq!(decode(&body[..601]), None);
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_not_known_stays_empty() {
        let long = "x".repeat(400);
        let facts = Facts { recorder: long.clone(), description: long.clone(), originator: long, ..facts() };
        let told = decode(&encode(spec(8, PcmDepth::Float32), &facts)).unwrap();
        assert_eq!((told.description.len(), told.originator.len(), told.reference.len()), (256, 32, 32));
        assert!(
            told.reference.ends_with("@85584000024000"),
            "what tells it apart is kept: {}",
            told.reference
        );
        assert_eq!(
            told.coding_history,
            format!("A=PCM,F=48000,W=32,T={}; 8 channels; float\r\n", "x".repeat(40))
        );
        let nothing = decode(&encode(spec(1, PcmDepth::Pcm16), &Facts::default())).unwrap();
        assert_eq!((nothing.reference.as_str(), nothing.date.as_str(), nothing.time.as_str()), ("", "", ""));
        assert_eq!(nothing.time_reference, FrameCount::ZERO);
        for odd in ["", "2026-07-02", "2026-07-02 14:46:03", "2026-07-02T14:46:0ü", "x026-07-02T14:46:03Z"] {
            assert_eq!(date_and_time(odd), None, "{odd}");
        }
    }
}
