//! The values that options take, from text. Errors say what was expected, with an example.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use audyn_core::sender::{Chance, PauseKind, Random};
use audyn_units::{
    ChannelCount, Encoding, FrameCount, FrameIndex, Nanos, PayloadType, SampleRate, SeqNo, SkewClass, Ssrc,
};

/// A whole number from one to the other; `what` it is, in words.
pub(crate) fn within<T>(
    what: &'static str,
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("\"{text}\" is no {what}; give {} to {}", range.start(), range.end()))
    }
}

/// Where UDP goes.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    within("UDP port", 1..=u16::MAX)(text)
}

/// TAI − UTC: 37 since 2017, and more after each leap second.
pub(crate) fn tai_offset(text: &str) -> Result<i32, String> {
    within("TAI offset in seconds, which has been 37 since 2017", 1..=255)(text)
}

pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    let address = text.parse().ok();
    address
        .ok_or_else(|| format!("\"{text}\" is no IP address; give one in numbers, as 239.1.2.3 or ff0e::1"))
}

/// Of Opus: as few bits as one stream takes, or as many as 64 do.
pub(crate) fn bitrate(text: &str) -> Result<u32, String> {
    within("bitrate in bits per second", 6_000..=32_640_000)(text)
}

/// Of the Opus encoder.
pub(crate) fn complexity(text: &str) -> Result<u8, String> {
    within("complexity", 0..=10)(text)
}

pub(crate) fn depth(text: &str) -> Result<u16, String> {
    let bits = text.parse().ok().filter(|bits| [16, 24, 32].contains(bits));
    bits.ok_or_else(|| format!("\"{text}\" is no depth of a file; give 16 or 24, or with WAV 32 for floats"))
}

/// A place on the timeline, or a length of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// In frames.
    Frames(u64),
    /// In time.
    Time(Nanos),
}

impl At {
    pub(crate) fn length(self, rate: SampleRate) -> FrameCount {
        match self {
            Self::Frames(frames) => FrameCount(frames),
            Self::Time(time) => rate.frames_in(time),
        }
    }

    pub(crate) fn position(self, rate: SampleRate) -> FrameIndex {
        FrameIndex(self.length(rate).0)
    }
}

/// Something at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) at: At,
    pub(crate) what: T,
}

pub(crate) fn at(text: &str) -> Result<At, String> {
    if let Ok(frames) = text.parse() {
        return Ok(At::Frames(frames));
    }
    time(text)
        .map(At::Time)
        .ok_or_else(|| format!("\"{text}\" is no position; give frames or a time, as 96000, 2s or 500ms"))
}

pub(crate) fn duration(text: &str) -> Result<Nanos, String> {
    let time = if text.ends_with('s') { time(text) } else { time(&format!("{text}s")) };
    time.ok_or_else(|| format!("\"{text}\" is no time; give seconds, as 60 or 0.5, or 500ms"))
}

/// A time with its unit.
fn time(text: &str) -> Option<Nanos> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e6),
        None => (text.strip_suffix('s')?, 1e9),
    };
    let nanos = number.parse::<f64>().ok()? * unit;
    // A century; the comparison also refuses NaN.
    (0.0..=3.2e18).contains(&nanos).then_some(Nanos(nanos.round() as i64))
}

pub(crate) fn payload_type(text: &str) -> Result<PayloadType, String> {
    let number = text.parse().ok().and_then(|number| PayloadType::new(number).ok());
    number.ok_or_else(|| format!("\"{text}\" is no payload type; give 96 to 127, or another of 0 to 127"))
}

pub(crate) fn encoding(text: &str) -> Result<Encoding, String> {
    match text.to_ascii_uppercase().as_str() {
        "L16" => Ok(Encoding::L16),
        "L24" => Ok(Encoding::L24),
        _ => Err(format!("\"{text}\" is no encoding that is sent; give L16 or L24")),
    }
}

pub(crate) fn rate(text: &str) -> Result<SampleRate, String> {
    let hz = text.parse().ok().and_then(|hz| SampleRate::new(hz).ok());
    hz.ok_or_else(|| format!("\"{text}\" is no sample rate that is sent; give 44100, 48000 or 96000"))
}

pub(crate) fn channels(text: &str) -> Result<ChannelCount, String> {
    let count = text.parse().ok().and_then(|count| ChannelCount::new(count).ok());
    count.ok_or_else(|| format!("\"{text}\" is no number of channels; give 1 to 64"))
}

pub(crate) fn skew(text: &str) -> Result<SkewClass, String> {
    let class = SkewClass::ALL.into_iter().find(|class| class.name() == text.to_ascii_lowercase());
    class.ok_or_else(|| format!("\"{text}\" is no skew class; give a (10 ms), b (50 ms) or c (450 ms)"))
}

pub(crate) fn ptime(text: &str) -> Result<f64, String> {
    let millis: Option<f64> = text.parse().ok().filter(|millis| (0.1..=5.0).contains(millis));
    millis.ok_or_else(|| format!("\"{text}\" is no packet time; give 0.125 to 4 milliseconds"))
}

pub(crate) fn hertz(text: &str) -> Result<f64, String> {
    let hz: Option<f64> = text.parse().ok().filter(|hz| *hz > 0.0 && *hz <= 48_000.0);
    hz.ok_or_else(|| {
        format!("\"{text}\" is no frequency; give hertz above 0 and below half the sample rate, as 1000")
    })
}

pub(crate) fn level(text: &str) -> Result<f32, String> {
    let level: Option<f32> = text.parse().ok().filter(|level| (-144.0..=0.0).contains(level));
    level.ok_or_else(|| format!("\"{text}\" is no level; give -144 to 0 dBFS"))
}

pub(crate) fn ssrc(text: &str) -> Result<Ssrc, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number
        .map(Ssrc)
        .map_err(|_| format!("\"{text}\" is no source identifier; give 32 bits, as 305419896 or 0x12345678"))
}

pub(crate) fn chance(text: &str) -> Result<Chance, String> {
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let chance = percent.and_then(|percent| Chance::new(percent / 100.0).ok());
    chance.ok_or_else(|| format!("\"{text}\" is no chance; give 0% to 100%, as 1%"))
}

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no {what}"))
}

fn random(text: &str, default: Option<u32>, example: &str) -> Result<Random, String> {
    let (first, second) = split(text);
    let packets = match (second, default) {
        (Some(packets), _) => number(packets, "number of packets")?,
        (None, Some(packets)) => packets,
        (None, None) => return Err(format!("\"{text}\" says no length; give both, as {example}")),
    };
    Ok(Random { chance: chance(first)?, packets })
}

pub(crate) fn burst(text: &str) -> Result<Random, String> {
    random(text, None, "0.1%:20")
}

pub(crate) fn reorder(text: &str) -> Result<Random, String> {
    random(text, Some(3), "2%:3")
}

pub(crate) fn duplicate(text: &str) -> Result<Random, String> {
    random(text, Some(0), "1%:0")
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(first, second)| (first, Some(second)))
}

/// `AT:REST`, with both there.
fn both<'a>(text: &'a str, example: &str) -> Result<(At, &'a str), String> {
    let (first, second) = split(text);
    let second = second.ok_or_else(|| format!("\"{text}\" is only half of it; give both, as {example}"))?;
    Ok((at(first)?, second))
}

pub(crate) fn at_count(text: &str) -> Result<Placed<u32>, String> {
    let (at, count) = both(text, "2s:5")?;
    Ok(Placed { at, what: number(count, "number of packets")? })
}

pub(crate) fn at_maybe_count(text: &str) -> Result<Placed<u32>, String> {
    let (first, count) = split(text);
    Ok(Placed { at: at(first)?, what: count.map_or(Ok(0), |count| number(count, "number of packets"))? })
}

pub(crate) fn pause(text: &str) -> Result<Placed<(At, PauseKind)>, String> {
    let (place, rest) = both(text, "10s:3s")?;
    let (length, kind) = split(rest);
    let kind = match kind {
        None | Some("running") => PauseKind::Running,
        Some("frozen") => PauseKind::Frozen,
        Some("outage") => PauseKind::Outage,
        Some(other) => {
            return Err(format!("\"{other}\" is no kind of pause; give running, frozen or outage"));
        }
    };
    Ok(Placed { at: place, what: (at(length)?, kind) })
}

pub(crate) fn cut(text: &str) -> Result<Placed<At>, String> {
    let (place, length) = both(text, "10s:3s")?;
    Ok(Placed { at: place, what: at(length)? })
}

pub(crate) fn ssrc_change(text: &str) -> Result<Placed<Option<Ssrc>>, String> {
    let (first, to) = split(text);
    Ok(Placed { at: at(first)?, what: to.map(ssrc).transpose()? })
}

pub(crate) fn sequence_reset(text: &str) -> Result<Placed<SeqNo>, String> {
    let (first, to) = split(text);
    let to = to.map_or(Ok(0), |to| number(to, "sequence number; give 0 to 65535"))?;
    Ok(Placed { at: at(first)?, what: SeqNo(to) })
}

pub(crate) fn jump(text: &str) -> Result<Placed<i64>, String> {
    let (at, frames) = both(text, "10s:-480")?;
    Ok(Placed { at, what: number(frames, "number of frames; give one as -480")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_frames_or_times() {
        assert_eq!(at("96000"), Ok(At::Frames(96_000)));
        assert_eq!(at("1.5s").unwrap().position(SampleRate::HZ_48000), FrameIndex(72_000));
        assert_eq!(at("250ms").unwrap().length(SampleRate::HZ_96000), FrameCount(24_000));
        assert_eq!(duration("2"), Ok(Nanos::from_secs(2)));
        assert_eq!(duration("0.5s"), duration("500ms"));
        for wrong in ["", "s", "-1s", "NaNs", "infs", "1e30s", "-5", "1h"] {
            assert!(at(wrong).is_err(), "{wrong}");
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn chances_are_per_cent_and_nothing_else() {
        assert_eq!(chance("1%"), Ok(Chance::new(0.01).unwrap()));
        assert_eq!(chance("100 %"), Ok(Chance::new(1.0).unwrap()));
        for wrong in ["1", "0.01", "%", "101%", "-1%", "NaN%"] {
            assert!(chance(wrong).is_err(), "{wrong}");
        }
        assert_eq!(burst("0.1%:20").unwrap().packets, 20);
        assert!(burst("0.1%").is_err());
        assert_eq!(reorder("2%").unwrap().packets, 3);
        assert_eq!(duplicate("2%:7").unwrap().packets, 7);
    }

    #[test]
    fn faults_are_placed() {
        assert_eq!(at_count("48:5"), Ok(Placed { at: At::Frames(48), what: 5 }));
        assert_eq!(at_maybe_count("48"), Ok(Placed { at: At::Frames(48), what: 0 }));
        let away = Placed { at: At::Time(Nanos::from_secs(10)), what: (At::Frames(480), PauseKind::Frozen) };
        assert_eq!(pause("10s:480:frozen"), Ok(away));
        assert_eq!(pause("0:1").unwrap().what.1, PauseKind::Running);
        assert_eq!(ssrc_change("5:0xff"), Ok(Placed { at: At::Frames(5), what: Some(Ssrc(255)) }));
        assert_eq!(ssrc_change("5").unwrap().what, None);
        assert_eq!(sequence_reset("5:9").unwrap().what, SeqNo(9));
        assert_eq!(jump("5:-480").unwrap().what, -480);
        assert!(at_count("5").is_err() && pause("5").is_err() && pause("5:5:away").is_err());
        assert!(ssrc_change("5:x").is_err() && sequence_reset("5:65536").is_err() && jump("5:1s").is_err());
    }
}
