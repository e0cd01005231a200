//! The options of `audyn analyze`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use audyn_units::{ChannelCount, Encoding, PayloadType, SampleRate, SkewClass};
use clap::Args;

use crate::values;

const EXAMPLES: &str = "\
Examples:
  audyn analyze trouble.pcapng                        every RTP audio stream in it: loss, jitter, TS-DF, gaps
  audyn analyze trouble.pcap --sdp desk.sdp           with the sender's word for encoding, channels and clock
  audyn analyze trouble.pcap --flow 2 -o audio.wav    and the audio of the second stream, as Audyn would have recorded it
  audyn analyze legs.pcap -o out/ --json              two legs of ST 2022-7 apart and merged; a report for programs

Exit codes: 0 read, 1 the file cannot be read or written, 2 it was asked for wrongly, or holds no audio stream.";

/// Analyze the RTP audio in a capture.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AnalyzeArgs {
    /// The capture: pcap or pcapng.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Session description of the streams; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(super) sdp: Vec<PathBuf>,
    /// Only this stream: its number in the list, or its group and port.
    #[arg(long, value_name = "N|IP[:PORT]", value_parser = choice)]
    pub(super) flow: Option<Choice>,
    /// Write the audio, and a gap ledger beside it: to this file, which must not exist, if there is one stream, or into this directory.
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(super) output: Option<PathBuf>,
    /// By how much one leg may lag behind the other where two are merged: a (10 ms), b (50 ms) or c (450 ms).
    #[arg(long, value_name = "CLASS", default_value = "c", value_parser = values::skew)]
    pub(super) skew: SkewClass,

    /// Encoding: L16 or L24 [default: by the SDP, or guessed by the packets]
    #[arg(long, value_parser = values::encoding, help_heading = "What the packets do not say")]
    pub(super) encoding: Option<Encoding>,
    /// Channels of the stream [default: by the SDP, or guessed by the packets]
    #[arg(short, long, value_parser = values::channels, value_name = "N", help_heading = "What the packets do not say")]
    pub(super) channels: Option<ChannelCount>,
    /// Sample rate: 44100, 48000 or 96000 [default: by the SDP, or guessed by the timestamps]
    #[arg(short, long, value_parser = values::rate, value_name = "HZ", help_heading = "What the packets do not say")]
    pub(super) rate: Option<SampleRate>,
    /// RTP payload type that is taken [default: by the SDP, or the commonest]
    #[arg(long, value_parser = values::payload_type, value_name = "PT", help_heading = "What the packets do not say")]
    pub(super) pt: Option<PayloadType>,
    /// TAI less UTC at the time of the capture, in seconds, for the link offset [default: by the leap seconds up to the capture's date]
    #[arg(long, value_name = "SECONDS", value_parser = values::within("TAI offset in seconds, which has been 37 since 2017", 0..=255i64), help_heading = "What the packets do not say")]
    pub(super) tai_offset: Option<i64>,
}

/// One stream out of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// By its number in the list, counted from 1.
    Number(usize),
    /// By where it is sent.
    Address(IpAddr, Option<u16>),
}

impl Choice {
    pub(crate) fn is(self, number: usize, to: SocketAddr) -> bool {
        match self {
            Self::Number(wanted) => wanted == number,
            Self::Address(address, port) => address == to.ip() && port.is_none_or(|port| port == to.port()),
        }
    }
}

pub(crate) fn choice(text: &str) -> Result<Choice, String> {
    let number = text.parse().ok().filter(|number| *number > 0).map(Choice::Number);
    let address = || text.parse().ok().map(|address| Choice::Address(address, None));
    let both = || text.parse().ok().map(|to: SocketAddr| Choice::Address(to.ip(), Some(to.port())));
    number.or_else(address).or_else(both).ok_or_else(|| {
        format!("\"{text}\" names no stream; give its number in the list, or its group, as 239.1.2.3 or 239.1.2.3:5004")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_chosen_by_number_or_group() {
        let to: SocketAddr = "239.1.2.3:5004".parse().unwrap();
        for (text, fits) in [
            ("2", true),
            ("1", false),
            ("239.1.2.3", true),
            ("239.1.2.3:5004", true),
            ("239.1.2.3:5006", false),
        ] {
            assert_eq!(choice(text).unwrap().is(2, to), fits, "{text}");
        }
        assert_eq!(choice("[ff05::1]:5004"), Ok(Choice::Address("ff05::1".parse().unwrap(), Some(5004))));
        assert!(choice("0").is_err() && choice("desk").is_err() && choice("-1").is_err());
    }
}
