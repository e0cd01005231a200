//! From left-justified `i32` to the bytes of a file and back.
//!
//! Fewer bits than the source has means dither: triangular noise of one step either way, added before rounding,
//! makes the error's mean and its variance independent of the signal (Lipshitz, Wannamaker, Vanderkooy,
//! "Quantization and dither: a theoretical survey", JAES 40:5, 1992). Otherwise every bit is kept.
//!
//! A float is the sample divided by 2^31, exact for all that a network of AES67 carries. A source of floats has more than 24 bits
//! where it is quiet, and is dithered into a file of either PCM; written as float again it is rounded to the 24 bits that a float has.

use crate::PcmDepth;

/// Turns samples into bytes; holds the dither's state, so that the split into blocks changes nothing.
#[derive(Debug, Clone)]
pub(crate) struct Converter {
    file: PcmDepth,
    source: PcmDepth,
    noise: SplitMix64,
}

impl Converter {
    pub(crate) fn new(file: PcmDepth) -> Self {
        Self { file, source: PcmDepth::Pcm24, noise: SplitMix64(0) }
    }

    pub(crate) fn set_source(&mut self, source: PcmDepth) {
        self.source = source;
    }

    pub(crate) fn seed(&mut self, seed: u64) {
        self.noise = SplitMix64(seed);
    }

    /// Appends the bytes of `samples` to `out`.
    pub(crate) fn encode(&mut self, samples: &[i32], out: &mut Vec<u8>) {
        out.reserve(samples.len() * self.file.bytes());
        match (self.file, self.source) {
            (PcmDepth::Pcm24, PcmDepth::Pcm16 | PcmDepth::Pcm24) => {
                for sample in samples {
                    let [_, low, mid, high] = sample.to_le_bytes();
                    out.extend_from_slice(&[low, mid, high]);
                }
            }
            (PcmDepth::Pcm16, PcmDepth::Pcm16) => {
                for sample in samples {
                    let [_, _, low, high] = sample.to_le_bytes();
                    out.extend_from_slice(&[low, high]);
                }
            }
            (PcmDepth::Pcm16, PcmDepth::Pcm24 | PcmDepth::Float32) => {
                for &sample in samples {
                    let [low, high, ..] = self.dithered(sample, 16).to_le_bytes();
                    out.extend_from_slice(&[low, high]);
                }
            }
            (PcmDepth::Pcm24, PcmDepth::Float32) => {
                for &sample in samples {
                    let [low, mid, high, _] = self.dithered(sample, 24).to_le_bytes();
                    out.extend_from_slice(&[low, mid, high]);
                }
            }
            (PcmDepth::Float32, _) => {
                for &sample in samples {
                    out.extend_from_slice(&(sample as f32 / FULL_SCALE).to_le_bytes());
                }
            }
        }
    }

    /// The sample in its upper `bits`, moved down.
    fn dithered(&mut self, sample: i32, bits: u32) -> i32 {
        let below = 32 - bits;
        let random = self.noise.next();
        // Two uniform numbers of one step each; their difference is triangular, mean zero.
        let step = (1 << below) - 1;
        let noise = (random & step) as i64 - ((random >> below) & step) as i64;
        let rounded = (i64::from(sample) + noise + (1 << (below - 1))) >> below;
        rounded.clamp(i64::from(i32::MIN >> below), i64::from(i32::MAX >> below)) as i32
    }
}

/// 2^31: the sample that a float tells as 1.
const FULL_SCALE: f32 = 2_147_483_648.0;

/// Fills `samples` from the bytes of a file; `bytes` holds exactly as many.
pub(crate) fn decode(depth: PcmDepth, bytes: &[u8], samples: &mut [i32]) {
    match depth {
        PcmDepth::Pcm16 => {
            for (sample, b) in samples.iter_mut().zip(bytes.chunks_exact(2)) {
                *sample = i32::from_le_bytes([0, 0, b[0], b[1]]);
            }
        }
        PcmDepth::Pcm24 => {
            for (sample, b) in samples.iter_mut().zip(bytes.chunks_exact(3)) {
                *sample = i32::from_le_bytes([0, b[0], b[1], b[2]]);
            }
        }
        PcmDepth::Float32 => {
            for (sample, b) in samples.iter_mut().zip(bytes.chunks_exact(4)) {
                let float = f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                // A cast keeps within the range, and makes 0 of what is no number.
                *sample = (float * f64::from(FULL_SCALE)).round() as i32;
            }
        }
    }
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. Any seed is a good seed.
#[derive(Debug, Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_16(source: PcmDepth, samples: &[i32]) -> Vec<i16> {
        let mut converter = Converter::new(PcmDepth::Pcm16);
        converter.set_source(source);
        let mut bytes = Vec::new();
        converter.encode(samples, &mut bytes);
        bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
    }

    #[test]
    fn twenty_four_bits_are_kept() {
        for value in [0, 1, -1, 0x7F_FFFF, -0x80_0000, 0x12_3456] {
            let mut bytes = Vec::new();
            Converter::new(PcmDepth::Pcm24).encode(&[value << 8], &mut bytes);
            let mut back = [0];
            decode(PcmDepth::Pcm24, &bytes, &mut back);
            assert_eq!(back[0], value << 8);
        }
    }

    #[test]
    fn floats_keep_24_bits_round_32_and_stop_at_full_scale() {
        let through = |sample: i32| {
            let mut bytes = Vec::new();
            Converter::new(PcmDepth::Float32).encode(&[sample], &mut bytes);
            let mut back = [0];
            decode(PcmDepth::Float32, &bytes, &mut back);
            (f32::from_le_bytes(bytes.try_into().unwrap()), back[0])
        };
        for value in [0, 1, -1, 0x7F_FFFF, -0x80_0000, 0x12_3456, -0x12_3457] {
            assert_eq!(through(value << 8).1, value << 8);
        }
        assert_eq!((through(1 << 30).0, through(i32::MIN).0), (0.5, -1.0));
        assert_eq!(
            through(0x1234_5678),
            (0x1234_5680 as f32 / FULL_SCALE, 0x1234_5680),
            "to the nearest of 24 bits"
        );
        assert_eq!(through(123).1, 123, "what is quiet keeps all");
        assert_eq!(through(i32::MAX), (1.0, i32::MAX));
        for (float, sample) in
            [(2.0, i32::MAX), (-2.0, i32::MIN), (f32::NAN, 0), (f32::NEG_INFINITY, i32::MIN)]
        {
            let mut back = [1];
            decode(PcmDepth::Float32, &float.to_le_bytes(), &mut back);
            assert_eq!(back[0], sample, "{float}");
        }
    }

    #[test]
    fn floats_are_dithered_into_24_bits() {
        let mut converter = Converter::new(PcmDepth::Pcm24);
        converter.set_source(PcmDepth::Float32);
        let (mut bytes, n) = (Vec::new(), 100_000);
        converter.encode(&vec![0x1240; n], &mut bytes); // 18.25 steps
        let mut back = vec![0; n];
        decode(PcmDepth::Pcm24, &bytes, &mut back);
        let mean = back.iter().map(|&s| f64::from(s >> 8)).sum::<f64>() / n as f64;
        assert!((mean - 18.25).abs() < 0.01, "{mean}");
        bytes.clear();
        converter.encode(&[i32::MAX, i32::MIN], &mut bytes);
        assert!(bytes[2] == 0x7F && bytes[5] == 0x80, "it does not wrap: {bytes:?}");
    }

    #[test]
    fn sixteen_bits_are_kept_when_the_source_has_no_more() {
        let samples: Vec<i32> = (i16::MIN..=i16::MAX).map(|s| i32::from(s) << 16).collect();
        let expected: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        assert_eq!(to_16(PcmDepth::Pcm16, &samples), expected);
    }

    #[test]
    fn dither_keeps_the_level_below_one_step_and_its_variance() {
        // A constant of 0.25 steps: plain rounding loses it, TPDF keeps it as the mean, and the total error has
        // a variance of 1/4 step² whatever the signal (1/6 of the noise, 1/12 of the rounding).
        for offset in [0i32, 0x1000, 0x4000, 0x8000, -0x4000, 0x1234_5600] {
            let n = 200_000usize;
            let out = to_16(PcmDepth::Pcm24, &vec![offset; n]);
            let wanted = f64::from(offset) / 65_536.0;
            let errors: Vec<f64> = out.iter().map(|&s| f64::from(s) - wanted).collect();
            let mean = errors.iter().sum::<f64>() / n as f64;
            let variance = errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n as f64;
            assert!(mean.abs() < 0.005, "mean error {mean} at {offset:#x}");
            assert!((variance - 0.25).abs() < 0.01, "variance {variance} at {offset:#x}");
            assert!(errors.iter().all(|e| e.abs() < 1.5 + 1e-9));
        }
    }

    #[test]
    fn dither_clips_at_full_scale_and_does_not_wrap() {
        assert!(to_16(PcmDepth::Pcm24, &[i32::MAX; 1000]).iter().all(|&s| s >= i16::MAX - 1));
        assert!(to_16(PcmDepth::Pcm24, &[i32::MIN; 1000]).iter().all(|&s| s <= i16::MIN + 1));
    }

    #[test]
    fn a_seed_gives_its_noise_again_and_another_seed_gives_another() {
        let with = |seed| {
            let mut converter = Converter::new(PcmDepth::Pcm16);
            converter.seed(seed);
            let mut bytes = Vec::new();
            converter.encode(&[0; 64], &mut bytes);
            bytes
        };
        assert_eq!(with(7), with(7));
        assert_ne!(with(7), with(8));
    }
}
