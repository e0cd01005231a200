//! Which channels of a flow a recorder takes, and in what order.

use audyn_units::ChannelCount;

/// A selection that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// A channel beyond the flow's.
    #[error("channel {} does not exist: the flow has {available}; choose from 1 to {available}", usize::from(*.channel) + 1)]
    Missing {
        /// Counted from 0.
        channel: u8,
        /// Channels of the flow.
        available: usize,
    },
    /// More than a file can hold.
    #[error("{0} channels were chosen; a recorder takes at most {max}", max = ChannelCount::MAX)]
    TooMany(usize),
}

/// A checked selection of channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMap {
    width: usize,
    /// Empty where all channels are taken in order, which needs no copy.
    picks: heapless::Vec<u8, { ChannelCount::MAX }>,
    output: ChannelCount,
}

impl ChannelMap {
    /// Takes the channels `picks` (counted from 0) of a flow, in that order; an empty list takes all.
    pub fn new(flow: ChannelCount, picks: &[u8]) -> Result<Self, ChannelError> {
        let available = flow.get();
        if let Some(&channel) = picks.iter().find(|&&pick| usize::from(pick) >= available) {
            return Err(ChannelError::Missing { channel, available });
        }
        let all = picks.is_empty() || picks.iter().copied().eq(0..available as u8);
        if all {
            return Ok(Self { width: available, picks: heapless::Vec::new(), output: flow });
        }
        let too_many = || ChannelError::TooMany(picks.len());
        let output = u8::try_from(picks.len()).ok().and_then(|count| ChannelCount::new(count).ok());
        Ok(Self {
            width: available,
            picks: heapless::Vec::from_slice(picks).map_err(|_| too_many())?,
            output: output.ok_or_else(too_many)?,
        })
    }

    /// Channels that come out.
    pub fn output(&self) -> ChannelCount {
        self.output
    }

    /// The channel of the flow (counted from 0) that comes out at `n`.
    pub fn source_of(&self, n: usize) -> usize {
        self.picks.get(n).map_or(n, |&pick| usize::from(pick))
    }

    /// The chosen channels of `frames`, in `scratch` where a copy is needed.
    pub fn apply<'a>(&self, frames: &'a [i32], scratch: &'a mut Vec<i32>) -> &'a [i32] {
        if self.picks.is_empty() {
            return frames;
        }
        scratch.clear();
        for frame in frames.chunks_exact(self.width) {
            scratch.extend(self.picks.iter().map(|&pick| frame[usize::from(pick)]));
        }
        scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_in_the_order_asked_for() {
        let map = ChannelMap::new(ChannelCount::new(4).unwrap(), &[3, 0, 3]).unwrap();
        let mut scratch = Vec::new();
        assert_eq!(map.apply(&[1, 2, 3, 4, 5, 6, 7, 8], &mut scratch), [4, 1, 4, 8, 5, 8]);
        assert_eq!((map.output().get(), map.source_of(0)), (3, 3));
    }

    #[test]
    fn all_in_order_is_no_copy() {
        let map = ChannelMap::new(ChannelCount::STEREO, &[0, 1]).unwrap();
        assert_eq!(map, ChannelMap::new(ChannelCount::STEREO, &[]).unwrap());
    }

    #[test]
    fn a_channel_that_is_not_there_is_named_as_people_count() {
        let error = ChannelMap::new(ChannelCount::STEREO, &[2]).unwrap_err();
        assert_eq!(error.to_string(), "channel 3 does not exist: the flow has 2; choose from 1 to 2");
    }
}
