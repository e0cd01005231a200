//! Where the samples come from: a tone, the index signal, or a file.

use audyn_core::sender::{Index, Source, Tone};
use audyn_media::{MediaError, WavReader};
use audyn_units::{ChannelCount, FrameCount, FrameIndex};

/// One of the three.
#[derive(Debug)]
pub(super) enum Signal {
    Tone(Tone),
    Index(Index),
    File(WavSource),
}

impl Source for Signal {
    type Error = MediaError;

    fn fill(
        &mut self,
        position: FrameIndex,
        channels: ChannelCount,
        out: &mut [i32],
    ) -> Result<usize, MediaError> {
        match self {
            Self::Tone(tone) => tone.fill(position, channels, out).map_err(|never| match never {}),
            Self::Index(index) => index.fill(position, channels, out).map_err(|never| match never {}),
            Self::File(file) => file.fill(position, channels, out),
        }
    }
}

/// A WAV file, once or over and over. It must hold at least one frame of as many channels as are sent.
#[derive(Debug)]
pub(super) struct WavSource {
    reader: WavReader,
    repeat: bool,
}

impl WavSource {
    pub(super) fn new(reader: WavReader, repeat: bool) -> Self {
        Self { reader, repeat }
    }
}

impl Source for WavSource {
    type Error = MediaError;

    fn fill(&mut self, _: FrameIndex, channels: ChannelCount, out: &mut [i32]) -> Result<usize, MediaError> {
        let wanted = out.len() / channels.get();
        let mut filled = 0;
        while filled < wanted {
            match self.reader.read(&mut out[filled * channels.get()..])? {
                FrameCount::ZERO if self.repeat => self.reader.seek(FrameCount::ZERO)?,
                FrameCount::ZERO => break,
                FrameCount(frames) => filled += frames as usize,
            }
        }
        Ok(filled)
    }
}
