//! Which volume belongs to which archive root, over restarts.
//!
//! Owns: `volumes.json` in the state directory. Never: touches a volume.
//!
//! A root may have several: one for each disk that the machine has ever chosen for it (`ours`). What cannot be read is nothing remembered: a
//! recording in the wrong place is better than none.

use std::io;
use std::path::{Path, PathBuf};

use audyn_media::volume::Identity;
use serde::{Deserialize, Serialize};

use crate::durable;

/// The file's name in the state directory.
const NAME: &str = "volumes.json";

/// The version that is written. Later ones keep the fields of this one.
const VERSION: u32 = 1;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    audyn_volumes: u32,
    volumes: Vec<Known>,
    /// The file lacks something of it.
    #[serde(skip)]
    unsaved: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    root: PathBuf,
    /// Which of the machine's disks was chosen for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chosen: Option<String>,
    volume: Identity,
}

impl Memory {
    pub(super) fn none() -> Self {
        Self { audyn_volumes: VERSION, volumes: Vec::new(), unsaved: false }
    }

    pub(super) fn read(state: &Path) -> Self {
        let path = state.join(NAME);
        let read = std::fs::read(&path).and_then(|text| Ok(serde_json::from_slice::<Self>(&text)?));
        read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "which volume belongs here is not known; the one that is there counts as the right one");
            }
            Self::none()
        })
    }

    /// The volume that belongs there.
    pub(super) fn of(&self, root: &Path, chosen: Option<&str>) -> Option<&Identity> {
        let is_it = |known: &&Known| known.root == root && known.chosen.as_deref() == chosen;
        self.volumes.iter().find(is_it).map(|known| &known.volume)
    }

    /// This one belongs there from now on.
    pub(super) fn remember(&mut self, root: &Path, chosen: Option<&str>, volume: Identity) {
        self.volumes.retain(|known| known.root != root || known.chosen.as_deref() != chosen);
        let (root, chosen) = (root.to_owned(), chosen.map(str::to_owned));
        self.volumes.push(Known { root, chosen, volume });
        self.unsaved = true;
    }

    /// Writes it if something is new. What is not written is in force all the same, and tried again.
    pub(super) fn save(&mut self, state: &Path) -> io::Result<()> {
        if self.unsaved {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            durable::replace(state, NAME, &text)?;
            self.unsaved = false;
        }
        Ok(())
    }
}
