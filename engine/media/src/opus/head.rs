//! The two packets before the first one of audio (RFC 7845 §5): `OpusHead`, what the decoder must know, and `OpusTags`, comments.

use audyn_units::{ChannelCount, Counted};

use super::OpusLayout;

/// Bytes of `OpusHead` before its channel mapping table.
const FIXED: usize = 19;

/// Which channel is in which stream (RFC 7845 §5.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) family: u8,
    /// Streams, those of two channels included, which come first.
    pub(crate) streams: u8,
    pub(crate) coupled: u8,
    /// For each channel its decoded channel: two of each coupled stream, then one of each other; 255 is silence.
    pub(crate) table: Vec<u8>,
}

impl Mapping {
    /// How a writer maps channels. Family 1's tables are those that libopus and its tools use for the orders of §5.1.1.2; more
    /// than eight channels have none, and are as in family 255.
    pub(crate) fn of(layout: OpusLayout, channels: ChannelCount) -> Self {
        let n = channels.get() as u8; // at most 64
        let (family, coupled, table) = match (layout, n) {
            (_, 1) => (0, 0, vec![0]),
            (_, 2) => (0, 1, vec![0, 1]),
            (OpusLayout::Surround, 3) => (1, 1, vec![0, 2, 1]),
            (OpusLayout::Surround, 4) => (1, 2, vec![0, 1, 2, 3]),
            (OpusLayout::Surround, 5) => (1, 2, vec![0, 4, 1, 2, 3]),
            (OpusLayout::Surround, 6) => (1, 2, vec![0, 4, 1, 2, 3, 5]),
            (OpusLayout::Surround, 7) => (1, 3, vec![0, 4, 1, 2, 3, 5, 6]),
            (OpusLayout::Surround, 8) => (1, 3, vec![0, 6, 1, 2, 3, 4, 5, 7]),
            _ => (255, 0, (0..n).collect()),
        };
        Self { family, streams: n - coupled, coupled, table }
    }
}

/// `OpusHead`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Samples at 48 kHz that a decoder makes and throws away.
    pub(crate) pre_skip: u16,
    /// The rate that was given, for information: decoding is at 48 kHz.
    pub(crate) rate: u32,
    /// In 1/256 dB.
    pub(crate) gain: i16,
    pub(crate) mapping: Mapping,
}

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mapping = &self.mapping;
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.push(mapping.table.len() as u8); // at most 64
        bytes.extend_from_slice(&self.pre_skip.to_le_bytes());
        bytes.extend_from_slice(&self.rate.to_le_bytes());
        bytes.extend_from_slice(&self.gain.to_le_bytes());
        bytes.push(mapping.family);
        if mapping.family != 0 {
            bytes.extend_from_slice(&[mapping.streams, mapping.coupled]);
            bytes.extend_from_slice(&mapping.table);
        }
        bytes
    }

    /// # Errors
    /// What it is instead, behind "it".
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() < FIXED || !bytes.starts_with(b"OpusHead") {
            return Err("does not begin with a header of Opus".to_owned());
        }
        // §5.1: the upper four bits are for changes that an old reader would not understand.
        if bytes[8] & 0xF0 != 0 {
            return Err(format!("has version {} of the header, and this reads up to 15", bytes[8]));
        }
        let channels = bytes[9];
        let family = bytes[18];
        let mapping = match (family, bytes.get(FIXED..FIXED + 2), bytes.get(FIXED + 2..)) {
            (0, _, _) if matches!(channels, 1 | 2) => Mapping::of(
                OpusLayout::Discrete,
                if channels == 1 { ChannelCount::MONO } else { ChannelCount::STEREO },
            ),
            (1 | 255, Some(&[streams, coupled]), Some(table)) if table.len() >= usize::from(channels) => {
                Mapping { family, streams, coupled, table: table[..usize::from(channels)].to_vec() }
            }
            _ => {
                let channels = Counted(channels.into(), "channel");
                return Err(format!("maps {channels} by family {family}, which this does not read"));
            }
        };
        let decoded = u16::from(mapping.streams) + u16::from(mapping.coupled);
        let known = |&channel: &u8| channel == 255 || u16::from(channel) < decoded;
        if mapping.coupled > mapping.streams
            || channels == 0
            || decoded > 255
            || !mapping.table.iter().all(known)
        {
            return Err("has a channel mapping that contradicts itself".to_owned());
        }
        Ok(Self {
            pre_skip: u16::from_le_bytes([bytes[10], bytes[11]]),
            rate: u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]),
            gain: i16::from_le_bytes([bytes[16], bytes[17]]),
            mapping,
        })
    }
}

/// `OpusTags`: who encoded, and comments as `NAME=value`.
pub(crate) fn tags(comments: &[(String, String)]) -> Vec<u8> {
    let mut bytes = b"OpusTags".to_vec();
    let mut put = |text: &str| {
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    put(opus::version());
    let mut list = Vec::new();
    for (name, value) in comments {
        let comment = format!("{name}={value}");
        list.extend_from_slice(&(comment.len() as u32).to_le_bytes());
        list.extend_from_slice(comment.as_bytes());
    }
    bytes.extend_from_slice(&(comments.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&list);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_whatever_its_channels() {
        for layout in [OpusLayout::Discrete, OpusLayout::Surround] {
            for channels in 1..=64 {
                let mapping = Mapping::of(layout, ChannelCount::new(channels).unwrap());
                let mut used = mapping.table.clone();
                used.sort_unstable();
                assert!(used.into_iter().eq(0..channels), "each decoded channel once");
                let head = Head { pre_skip: 4_152, rate: 44_100, gain: -256, mapping };
                assert_eq!(Head::parse(&head.encode()).unwrap(), head);
            }
        }
    }

    #[test]
    fn a_head_that_is_wrong_is_refused() {
        let mapping = Mapping::of(OpusLayout::Discrete, ChannelCount::new(3).unwrap());
        let good = Head { pre_skip: 312, rate: 48_000, gain: 0, mapping }.encode();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Head::parse(&bytes).unwrap_err()
        };
        assert!(with(0, b'o').contains("does not begin"));
        assert!(with(8, 16).contains("version 16"));
        assert!(with(18, 0).contains("maps 3 channels by family 0"));
        assert!(with(18, 3).contains("family 3"));
        assert!(with(9, 4).contains("maps 4 channels"), "its table ends early");
        assert!(with(9, 0).contains("contradicts"));
        assert!(with(20, 4).contains("contradicts"), "more pairs than streams");
        assert!(with(21, 3).contains("contradicts"), "a channel of no stream");
        assert!(Head::parse(&good[..18]).is_err());
    }
}
