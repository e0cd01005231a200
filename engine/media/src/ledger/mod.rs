//! The gap ledger: beside each recording `NAME.wav` lies `NAME.wav.gaps.jsonl`, one JSON object a line.
//!
//! Owns: the lines, their order and what they mean to a reader. Must never: know how a gap came about; who records says so.
//!
//! ```text
//! {"audyn_ledger":3,…}          the header: which file, and where its first frame lies in time
//! {"position":…,"frames":…,…}   a gap; with "open":true one that had not ended yet: the line of the same position behind it has
//!                               its final length, and if there is none it reaches to the file's end
//! {"position":…,"event":…,…}    something that happened there, for people
//! {"closed":true,…}             the end, and what the file should hold; missing after a kill
//! ```
//!
//! Positions are frames since the PTP epoch, exact if the header says `"placed_by":"media-clock"`. The frames of one file follow one
//! another. Lines are only ever appended, each by one write, so a crash leaves whole lines; a power cut may tear the last one, and
//! so may a full disk before the crash.

/// The event of a file that was mended: it ends at the event's position, whatever lies behind that.
pub const MENDED: &str = "mended";

mod facts;
mod line;
pub(crate) mod mend;
mod writer;

pub use facts::LedgerFacts;
pub use line::{LedgerEnd, LedgerEvent, LedgerGap, LedgerHeader, LedgerLine, VERSION};
pub use mend::mend;
pub use writer::LedgerWriter;
