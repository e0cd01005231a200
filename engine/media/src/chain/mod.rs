//! What proves a recording: a sidecar beside each closed file, and the chain that they form.
//!
//! Owns: sidecars, tombstones and the head of a recorder's chain: how they are written, and what [`verify`](verify()) finds wrong. Must
//! never: change a sidecar that exists, delete audio that no tombstone names, know a recorder's configuration or a clock.
//!
//! ```text
//! RECORDER/2026-07-02-13.wav              the audio
//! RECORDER/2026-07-02-13.wav.gaps.jsonl       its gap ledger
//! RECORDER/2026-07-02-13.wav.peaks        what it is drawn from (`peaks`); no part of the chain
//! RECORDER/2026-07-02-13.wav.json         its sidecar: when, how long, what is missing, SHA-256 of both, entry 41, hash of entry 40
//! RECORDER/.audyn/tombstones.jsonl        a line for each deletion: who, when, the sidecar's text; entry 42, hash of entry 41
//! RECORDER/.audyn/head.json               number and hash of the newest entry
//! RECORDER/.audyn/markers/                what people said of places (`markers`); no part of the chain
//! RECORDER/.audyn/index                   what the sidecars tell, to be found at once; made from them anew at any time
//! RECORDER/.audyn/open.json               files that are written or wait to be sealed
//! RECORDER/.audyn/unsealable.json         what can never be sealed, and why; no part of the chain
//! RECORDER/.audyn/protected.jsonl         a line for each time that a segment was protected or let go: who and when; no part of the chain
//! RECORDER/.audyn/reserve                 1 MiB that is given up on a full disk for a tombstone, or to let something go that is protected
//! ```
//!
//! # Goals
//! Nobody removes or changes a closed recording, its ledger or its sidecar without its being seen, on any machine and with nothing but
//! the files (`sha256sum` gives the same hashes). A deletion by someone who may is no fault: it says who and when.
//! What a chain alone cannot show, that its newest entries are gone together with the head, is shown by a head that was signed and kept
//! elsewhere (`heads`).
//!
//! # Invariants
//! 1. A sidecar or tombstone is written once, whole, and never again.
//! 2. Entries are numbered from 1 without a hole, and each but the first names the hash of the one before: SHA-256 of the sidecar's
//!    file, or of the tombstone's line without its end.
//! 3. The head is never ahead of what is on the disk; it may be one entry behind, and is then moved on when the chain is opened.
//! 4. One writer: whoever records into the directory.
//! 5. What is protected is never buried, whoever asks.
//!
//! # Procedures
//! *Seal*: 1 fdatasync of audio and ledger, 2 hash both, read from the disk and not from memory (`confirm`), 3 the head gets the file and the sidecar's hash as its `next`, 4 the sidecar
//! under a temporary name, fsync, rename (fails if taken), fsync of the directory, 5 the index, fdatasync, 6 the head moves on.
//! *Bury*: 1 the tombstone, appended by one write, fdatasync, 2 the index, 3 the head, 4 remove audio, peaks and ledger, 5 remove the
//! sidecar, fsync of the directory. On a disk without room the reserve is given up before 1, and 3 comes last.
//! What could not be removed and is buried again gets no second tombstone while its newest one tells of the same sidecar: 4 and 5 alone.
//! *Open*: a torn last line of the tombstones is taken away; the sidecar that is `next`, or a tombstone, moves the head on if it is on
//! the disk; what the last tombstone names and is still there is removed. A chain without a head is read whole. An index that does not
//! hold the head is made anew.
//!
//! # Rejected designs
//! *A chain over whole days*: a deletion then breaks a day. *Hashing while recording*: the head of each file changes until it
//! is closed, and a hash of part of a file is no hash that ordinary tools give. *Tombstones in the sidecar's place*: the
//! directories of deleted days would stay for ever.

mod account;
mod copy;
mod files;
mod hash;
mod heads;
mod listing;
mod protect;
mod reserve;
mod seal;
mod sidecar;
mod verify;

pub use account::account;
pub use copy::{Copied, copy, uncopy};
pub(crate) use files::replace;
pub use files::{HOUSE, Head, Next, SIDECAR_SUFFIX, Tombstone, is_sidecar, ledger_of, sidecar_of};
pub use hash::{Sha256, hash_of};
pub use heads::{HeadKey, Heads, KeptHead, MOST_HEADS, PublicKey};
pub(crate) use listing::{head_of, open_files, reindex};
pub use listing::{newest_of, set_open_files, sidecar_in, tell_unsealable, tombstones, unsealable, unsealed};
pub use protect::{Protected, protected, segment_of};
pub use seal::{Chain, Hashes, Sealing};
pub use sidecar::{ClockFacts, FormatFacts, GapFacts, Instants, LedgerHash, MOST_GAPS, Sidecar, VERSION};
pub use verify::{Fault, Found, verify};

#[cfg(test)]
mod tests;
