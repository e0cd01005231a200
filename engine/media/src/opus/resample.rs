//! To 48 kHz, the only rate that Opus decodes to without loss.
//!
//! The ratio is exact and the blocks are whole: 588 frames of 44.1 kHz are 640 of 48 kHz, 1,280 of 96 kHz are 640; so no length
//! drifts however long a recording is. The filter's delay is left out at the beginning: the first frame that comes out lies at
//! the first one's instant.

use audyn_units::{ChannelCount, SampleRate};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Frames of a block at 48 kHz, and of its transform.
const BLOCK: usize = 640;

/// Samples of any rate of AES67 in, samples of 48 kHz out.
#[derive(Debug)]
pub(crate) struct Resampler {
    channels: usize,
    /// None at 48 kHz.
    filter: Option<Fft<f32>>,
    /// What waits for a whole block.
    input: Vec<f32>,
    /// Frames of the filter's delay that are still to be left out.
    delay: usize,
}

impl Resampler {
    /// # Errors
    /// What the library says of a ratio that it cannot do.
    pub(crate) fn new(rate: SampleRate, channels: ChannelCount) -> Result<Self, String> {
        let (channels, hz) = (channels.get(), rate.hz() as usize);
        let filter = if rate == SampleRate::HZ_48000 {
            None
        } else {
            // The window's side lobes are below 24 bits.
            let (block, window) = (BLOCK * hz / 48_000, WindowFunction::BlackmanHarris2);
            Some(
                Fft::new_custom(hz, 48_000, block, 1, channels, window, FixedSync::Both)
                    .map_err(|e| e.to_string())?,
            )
        };
        let delay = filter.as_ref().map_or(0, |filter| filter.output_delay());
        Ok(Self { channels, filter, input: Vec::new(), delay })
    }

    /// Takes whole frames, interleaved and left-justified, and appends what they give to `out`.
    ///
    /// # Errors
    /// What the library says; it never does with blocks of its size.
    pub(crate) fn push(
        &mut self,
        samples: impl Iterator<Item = i32>,
        out: &mut Vec<f32>,
    ) -> Result<(), String> {
        let samples = samples.map(|sample| sample as f32 * (1.0 / 2_147_483_648.0));
        let Some(filter) = &mut self.filter else {
            out.extend(samples);
            return Ok(());
        };
        self.input.extend(samples);
        let (frames_in, frames_out) = (filter.input_frames_next(), filter.output_frames_next());
        let mut used = 0;
        while self.input.len() - used >= frames_in * self.channels {
            let start = out.len();
            out.resize(start + frames_out * self.channels, 0.0);
            let block = InterleavedSlice::new(&self.input[used..], self.channels, frames_in);
            let room = InterleavedSlice::new_mut(&mut out[start..], self.channels, frames_out);
            let (block, mut room) = (block.map_err(|e| e.to_string())?, room.map_err(|e| e.to_string())?);
            filter.process_into_buffer(&block, &mut room, None).map_err(|e| e.to_string())?;
            used += frames_in * self.channels;
            let late = self.delay.min(frames_out);
            self.delay -= late;
            out.drain(start..start + late * self.channels);
        }
        self.input.drain(..used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of a sine of `hz` that began long ago, against the same sine at 48 kHz, and where the first one lies.
    fn error(rate: SampleRate, hz: f64) -> f64 {
        let mut resampler = Resampler::new(rate, ChannelCount::MONO).unwrap();
        let sine =
            |n: usize, rate: u32| (n as f64 * hz * std::f64::consts::TAU / f64::from(rate)).sin() * 0.5;
        let mut out = Vec::new();
        let samples: Vec<i32> = (0..30_000).map(|n| (sine(n, rate.hz()) * 2_147_483_648.0) as i32).collect();
        for part in samples.chunks(479) {
            resampler.push(part.iter().copied(), &mut out).unwrap();
        }
        let errors = out
            .iter()
            .enumerate()
            .skip(1_000)
            .map(|(n, &sample)| (f64::from(sample) - sine(n, 48_000)).abs());
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn a_sine_keeps_its_level_and_its_place() {
        for rate in [SampleRate::HZ_44100, SampleRate::HZ_48000, SampleRate::HZ_96000] {
            for hz in [50.0, 997.0, 10_000.0, 19_000.0] {
                let error = error(rate, hz);
                assert!(error < 2e-6, "{rate}, {hz} Hz: {error}");
            }
        }
    }
}
