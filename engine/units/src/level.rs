//! Levels.

use core::fmt;

/// A level in decibels relative to full scale: 0 dBFS is the largest sample, silence is [`Dbfs::FLOOR`].
///
/// The floor is −144 dBFS (below one step of 24 bit), so that a level is always a finite number.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Dbfs(pub f32);

impl Dbfs {
    /// What silence reads as.
    pub const FLOOR: Self = Self(-144.0);
}

impl Default for Dbfs {
    fn default() -> Self {
        Self::FLOOR
    }
}

impl fmt::Display for Dbfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} dBFS", self.0)
    }
}
