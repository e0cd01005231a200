//! Retention: which recordings go, and when the disk is full.
//!
//! Owns: the order and the reasons of deletions ([`plan`]), when the clock may be believed that a recording is old ([`ClockTrust`]),
//! whether deleting makes room ([`Yields`]), when a tighter limit acts ([`Delayed`]), and how long the room lasts ([`seconds_left`]). Must never: look at a disk or a clock, or delete.
//!
//! # Goals
//! What was asked for and nothing else: without a limit nothing goes, whatever the disk does. Among what may go the oldest goes first.
//!
//! # Invariants
//! 1. What is held never goes: protected, not sealed, being recorded or read.
//! 2. No age counts that the clock has not earned: see [`ClockTrust`].
//! 3. A segment goes whole or not at all, with all its formats.
//! 4. The floor takes only from recorders that make room, no more than it needs, and only while that frees anything: see [`Yields`].
//!
//! # Rejected designs
//! *A share of the disk for each recorder*: nobody can tell beforehand what FLAC and Opus take. *Deleting more when the disk fills faster*:
//! a recorder that was set wrongly would eat the others' past. *The file's time of change as its age*: copying an archive would make it
//! young; the sidecar tells when it was recorded.

mod clock;
mod delay;
mod foresee;
mod plan;
mod yields;

pub use clock::{BootNote, ClockNote, ClockTrust};
pub use delay::{Delayed, Floor, TIGHTER_AFTER, Tightness};
pub use foresee::{Growth, seconds_left};
pub use plan::{Going, Hold, Kept, Limits, Plan, Reason, Room, Segment, plan};
pub use yields::{Fruitless, Sight, Writers, Yields};
