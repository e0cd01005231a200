//! Seeded chance for scenarios and paths.

use rand_core::Rng;
use rand_pcg::Pcg32;

/// A generator with the draws that scenarios need. Equal seed and purpose, equal draws.
#[derive(Debug, Clone)]
pub struct Dice(Pcg32);

impl Dice {
    /// Dice of their own for each `purpose`, so that one use of a seed doesn't shift another.
    pub fn new(seed: u64, purpose: u64) -> Self {
        // The test sender's own generators have the streams 1 to 6 of the same seed.
        Self(Pcg32::new(seed, 1_000 + purpose))
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in `percent` of 100 draws.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
