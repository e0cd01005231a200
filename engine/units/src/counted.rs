//! Numbers with what they count, as sentences have them.

use core::fmt;

/// A number and its noun: "1 gap", "2 gaps". For nouns whose plural has an s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Bytes for people: "288.0 kB", "1.5 GB".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.1} GB", bytes / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;
    use crate::{ChannelCount, FrameCount};

    #[test]
    fn one_is_one() {
        assert_eq!([0, 1, 2].map(|n| Counted(n, "gap").to_string()), ["0 gaps", "1 gap", "2 gaps"]);
        assert_eq!([0, 1, 2].map(|n| FrameCount(n).to_string()), ["0 frames", "1 frame", "2 frames"]);
        let channels = [ChannelCount::MONO, ChannelCount::STEREO].map(|count| count.counted().to_string());
        assert_eq!(channels, ["1 channel", "2 channels"]);
    }

    #[test]
    fn bytes_have_the_unit_that_people_would_use() {
        let told = [0, 999_940, 1_000_000, 1_500_000_000_000].map(|bytes| ByteSize(bytes).to_string());
        assert_eq!(told, ["0.0 kB", "999.9 kB", "1.0 MB", "1500.0 GB"]);
    }
}
