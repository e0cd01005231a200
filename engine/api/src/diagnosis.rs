//! Why a flow is silent: the first cause on the way of its packets, and a sentence for a person.

use serde::{Deserialize, Serialize};

/// What keeps a flow's audio away, in the order in which it is asked for: each one only counts if those before it are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceCause {
    /// The interface is not there, is switched off, or has no link.
    Link,
    /// The interface has no address of the flow's IP version, or the flow's own address is not this machine's.
    Address,
    /// The group is not joined, or the port is not to be had.
    Join,
    /// Nothing comes.
    Packets,
    /// Packets come that are not what the source is configured as: payload type, size, sender.
    Match,
    /// Packets match, and their timestamps do not go with the time.
    Clock,
    /// Audio comes, and each sample of it is zero.
    Level,
}

/// The answer: one cause, one sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The first thing that is not well.
    pub cause: SilenceCause,
    /// For a person.
    pub sentence: String,
}
