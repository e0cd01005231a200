//! How far two legs of one flow may lie apart.

use core::fmt;

use crate::Nanos;

/// The skew classes of ST 2022-7: by how much the later leg may lag behind the other and still protect it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum SkewClass {
    /// Low: 10 ms, for two networks of one house.
    #[default]
    A,
    /// Moderate: 50 ms.
    B,
    /// High: 450 ms, for paths across a continent.
    C,
}

impl SkewClass {
    /// Every class, the shortest first.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// The longest lag.
    pub const fn skew(self) -> Nanos {
        Nanos::from_millis(match self {
            Self::A => 10,
            Self::B => 50,
            Self::C => 450,
        })
    }

    /// The name in the files and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }
}

impl fmt::Display for SkewClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
