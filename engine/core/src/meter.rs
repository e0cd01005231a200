//! Levels of a recorder's channels: RMS and sample peak over a measuring interval, a held peak, clipping.
//!
//! Owns: the numbers. Never: when to publish; the caller takes a reading about 30 times a second.

use audyn_units::{ChannelCount, Dbfs, Mono, Nanos, Timestamp};

/// How long a peak and a clip stay visible.
pub const HOLD: Nanos = Nanos::from_millis(1_500);

/// The level of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Level {
    /// RMS over the interval. A sine at full scale reads −3.0 dBFS.
    pub rms: Dbfs,
    /// Highest sample of the interval.
    pub peak: Dbfs,
    /// Highest sample within [`HOLD`].
    pub held_peak: Dbfs,
    /// A sample at full scale was seen within [`HOLD`].
    pub clipping: bool,
}

/// One level a channel. It lives where it stands: reading a meter allocates nothing.
pub type Levels = heapless::Vec<Level, { ChannelCount::MAX }>;

#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    peak: u32,
    squares: f64,
    held: u32,
    held_since: Timestamp<Mono>,
    clipped: Option<Timestamp<Mono>>,
}

impl Channel {
    #[inline]
    fn take(&mut self, samples: impl Iterator<Item = i32>) {
        let (mut peak, mut squares) = (self.peak, 0f32);
        for sample in samples {
            peak = peak.max(sample.unsigned_abs());
            let value = sample as f32 * (1.0 / 2_147_483_648.0);
            squares += value * value;
        }
        self.peak = peak;
        self.squares += f64::from(squares);
    }
}

/// The meter of one recorder.
#[derive(Debug)]
pub struct Meter {
    channels: heapless::Vec<Channel, { ChannelCount::MAX }>,
    frames: u64,
}

impl Meter {
    /// A meter that reads silence.
    pub fn new(channels: ChannelCount) -> Self {
        let mut bank = heapless::Vec::new();
        bank.resize_default(channels.get()).expect("a channel count is never above its maximum");
        Self { channels: bank, frames: 0 }
    }

    /// Takes interleaved, left-justified samples, whole frames.
    pub fn audio(&mut self, samples: &[i32]) {
        let width = self.channels.len();
        self.frames += (samples.len() / width) as u64;
        match self.channels.as_mut_slice() {
            [one] => one.take(samples.iter().copied()),
            // Most are stereo: known pairs are taken apart without counting steps.
            [left, right] => {
                let (pairs, _) = samples.as_chunks::<2>();
                left.take(pairs.iter().map(|&[sample, _]| sample));
                right.take(pairs.iter().map(|&[_, sample]| sample));
            }
            all => {
                for (n, channel) in all.iter_mut().enumerate() {
                    channel.take(samples.get(n..).unwrap_or_default().iter().step_by(width).copied());
                }
            }
        }
    }

    /// Whether no frame has come since the last reading.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Takes silence of so many frames.
    pub fn silence(&mut self, frames: u64) {
        self.frames += frames;
    }

    /// Reads the interval since the last reading, one level a channel, and begins the next. With no frame in between
    /// everything but the hold reads silence.
    pub fn read(&mut self, now: Timestamp<Mono>) -> Levels {
        let mut levels = Levels::new();
        for channel in &mut self.channels {
            if channel.peak >= channel.held || now - channel.held_since >= HOLD {
                channel.held = channel.peak;
                channel.held_since = now;
            }
            if channel.peak >= FULL_SCALE {
                channel.clipped = Some(now);
            }
            let mean = if self.frames == 0 { 0.0 } else { channel.squares / self.frames as f64 };
            let level = Level {
                rms: dbfs(mean.sqrt()),
                peak: dbfs(amplitude(channel.peak)),
                held_peak: dbfs(amplitude(channel.held)),
                clipping: channel.clipped.is_some_and(|at| now - at < HOLD),
            };
            levels.push(level).expect("there are as many places as channels");
            channel.peak = 0;
            channel.squares = 0.0;
        }
        self.frames = 0;
        levels
    }
}

/// The largest positive sample of 16 bit; a 24-bit sample as high differs from full scale by less than 0.001 dB.
const FULL_SCALE: u32 = 0x7fff << 16;

fn amplitude(peak: u32) -> f64 {
    f64::from(peak) / 2_147_483_648.0
}

fn dbfs(amplitude: f64) -> Dbfs {
    if amplitude <= 0.0 {
        return Dbfs::FLOOR;
    }
    Dbfs(((20.0 * amplitude.log10()) as f32).max(Dbfs::FLOOR.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(meter: &mut Meter, millis: i64) -> [Level; 2] {
        let levels = meter.read(Timestamp::ZERO + Nanos::from_millis(millis));
        [levels[0], levels[1]]
    }

    #[test]
    fn a_sine_reads_as_it_should_and_channels_do_not_mix() {
        let mut meter = Meter::new(ChannelCount::STEREO);
        let half = 0.5 * 2_147_483_648.0;
        let samples: Vec<i32> = (0..4_800)
            .flat_map(|n| [((f64::from(n) / 48.0 * std::f64::consts::TAU).sin() * half) as i32, 0])
            .collect();
        samples.chunks(96).for_each(|packet| meter.audio(packet));
        let [left, right] = read(&mut meter, 33);
        assert!((left.rms.0 - -9.03).abs() < 0.01, "{left:?}");
        assert!((left.peak.0 - -6.02).abs() < 0.01, "{left:?}");
        assert!(!left.clipping);
        assert_eq!(right, Level::default());
    }

    #[test]
    fn each_channel_of_any_number_has_its_own_level() {
        for channels in 1..=8u8 {
            let mut meter = Meter::new(ChannelCount::new(channels).unwrap());
            let frame: Vec<i32> = (0..channels).map(|channel| i32::MIN >> channel).collect();
            meter.audio(&frame.repeat(48));
            let levels = meter.read(Timestamp::ZERO);
            for (channel, level) in levels.iter().enumerate() {
                let expected = -20.0 * 2f32.log10() * channel as f32;
                let is = |told: Dbfs| (told.0 - expected).abs() < 0.01;
                assert!(is(level.peak) && is(level.rms), "{channel} of {channels}: {level:?}");
            }
        }
    }

    #[test]
    fn a_peak_holds_and_falls() {
        let mut meter = Meter::new(ChannelCount::STEREO);
        meter.audio(&[i32::MIN, 1 << 24]);
        let [left, _] = read(&mut meter, 0);
        assert_eq!((left.peak.0, left.clipping), (0.0, true));
        let [left, _] = read(&mut meter, 1_400);
        assert_eq!((left.peak, left.held_peak.0, left.clipping), (Dbfs::FLOOR, 0.0, true));
        let [left, _] = read(&mut meter, 1_500);
        assert_eq!((left.held_peak, left.clipping), (Dbfs::FLOOR, false));
    }

    #[test]
    fn silence_lowers_the_rms_and_nothing_at_all_reads_silence() {
        let mut meter = Meter::new(ChannelCount::STEREO);
        meter.audio(&[i32::MAX, i32::MAX]);
        meter.silence(3);
        let [left, _] = read(&mut meter, 0);
        assert!((left.rms.0 - -6.02).abs() < 0.01, "{left:?}");
        assert_eq!(read(&mut meter, 33)[0].rms, Dbfs::FLOOR);
    }
}
