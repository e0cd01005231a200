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
}
