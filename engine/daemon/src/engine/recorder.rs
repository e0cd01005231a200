//! A recorder, as control sees it: what is wanted of it, and what of that runs.
//!
//! Owns: the comparison that says whether a tap and a recording may go on when the configuration changes. Never: begins or ends either;
//! the engine does.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use audyn_api::{FormatConfig, OpusConfig, SourceId};
use audyn_units::FrameCount;

use crate::closing::Closing;
use crate::naming::Naming;
use crate::shared::{SharedLevels, SharedRecording};

/// One recorder, as the engine runs it.
#[derive(Debug, Clone)]
pub struct RecorderSpec {
    /// Its identifier.
    pub id: String,
    /// Its name for people, which its files tell; may be empty. A running recording keeps the one that it began with.
    pub name: String,
    /// What it records.
    pub source: Option<SourceId>,
    /// Whether it receives and meters.
    pub enabled: bool,
    /// The studio that it is assigned to.
    pub studio: Option<String>,
    /// Channels of the source, counted from 0; empty takes all.
    pub channels: Vec<u8>,
    /// Formats of its files, at least one.
    pub formats: Vec<FormatConfig>,
    /// How Opus is encoded.
    pub opus: OpusConfig,
    /// Where its files go.
    pub naming: Naming,
}

pub(crate) struct RecorderEntry {
    pub(crate) spec: RecorderSpec,
    pub(crate) levels: SharedLevels,
    pub(crate) recording: SharedRecording,
    /// The same recording on the mirror, if there is one.
    pub(crate) mirrored: SharedRecording,
    /// Its feeds for the mirror that may still live: as long as either end does, its memory is taken.
    pub(super) mirrors: Vec<Weak<AtomicBool>>,
    /// The running recording has no feed for the mirror, since too many wait for its disk.
    pub(super) unmirrored: bool,
    /// The flow that it taps.
    pub(super) tapped: Option<u32>,
    /// Somebody wants it to record.
    pub(crate) wanted: bool,
    pub(super) limit: Option<FrameCount>,
    pub(super) feeding: bool,
    /// The recording that was ended last; its file may still be open.
    pub(super) closing: Option<Closing>,
    pub(crate) error: Option<String>,
}

impl RecorderEntry {
    pub(super) fn new(spec: RecorderSpec) -> Self {
        Self {
            spec,
            levels: Arc::default(),
            recording: Arc::default(),
            mirrored: Arc::default(),
            mirrors: Vec::new(),
            unmirrored: false,
            tapped: None,
            wanted: false,
            limit: None,
            feeding: false,
            closing: None,
            error: None,
        }
    }

    /// Whether the running tap and recording serve `spec` as well.
    pub(super) fn taps_like(&self, spec: &RecorderSpec) -> bool {
        let now = &self.spec;
        now.enabled == spec.enabled
            && now.source == spec.source
            && now.channels == spec.channels
            && now.formats == spec.formats
            && now.opus == spec.opus
            && now.naming.is_like(&spec.naming)
    }
}
