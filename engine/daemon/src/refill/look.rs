//! What both volumes hold.
//!
//! Owns: the reading of it, from indexes, sidecars and tombstones. Never: decides; writes anything but an index.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use audyn_media::Beneath;
use audyn_media::archive::{Catalog, Segment, State, Wanted};
use audyn_media::chain::{self, Sidecar};

use super::lacks::Piece;
use crate::chains::Chains;
use crate::delete::ASKED_FOR;

/// The newest entry of a recorder's chain on one volume.
pub(super) type Heads = Option<(u64, u64)>;

/// The ledger's word for what a disk did not take.
const STALL: &str = "disk-stall";

/// What one volume has of a recorder.
#[derive(Debug, Default)]
pub(super) struct There {
    pub(super) files: Vec<File>,
    /// What was deleted.
    pub(super) buried: Vec<Piece>,
    /// Names of what was deleted before it was sealed.
    pub(super) nameless: HashSet<String>,
    /// What of it persons have deleted.
    pub(super) asked: Vec<Asked>,
}

/// A file.
#[derive(Debug)]
pub(super) struct File {
    /// Its path below the recorder's directory.
    pub(super) name: String,
    /// Its place in the chain.
    pub(super) entry: u64,
    pub(super) bytes: u64,
    pub(super) piece: Piece,
}

/// What a person has deleted.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) piece: Piece,
    pub(super) who: String,
    pub(super) when: String,
}

/// Each recorder's chains by its directory below the roots.
pub(super) fn heads(volumes: &[Chains; 2]) -> io::Result<BTreeMap<PathBuf, [Heads; 2]>> {
    let mut heads = BTreeMap::<PathBuf, [Heads; 2]>::new();
    for (at, chains) in volumes.iter().enumerate() {
        for directory in Catalog::open(chains.archive()).map_err(io::Error::other)?.directories() {
            let head = chain::newest_of(directory)?;
            heads.entry(below(chains, directory.path())).or_default()[at] = head;
        }
    }
    Ok(heads)
}

fn below(chains: &Chains, directory: &Path) -> PathBuf {
    directory.strip_prefix(chains.archive()).unwrap_or(directory).to_owned()
}

/// Looks, and remembers what sidecars told.
#[derive(Debug, Default)]
pub(super) struct Looker {
    /// What the disk did not take of each file that has gaps, by its place.
    holes: HashMap<(PathBuf, u64), Vec<(u64, u64)>>,
}

impl Looker {
    /// What both volumes have of these recorders.
    pub(super) fn look(
        &mut self,
        volumes: &[Chains; 2],
        recorders: &[PathBuf],
    ) -> io::Result<BTreeMap<PathBuf, [There; 2]>> {
        let mut found = BTreeMap::<PathBuf, [There; 2]>::new();
        for (at, chains) in volumes.iter().enumerate() {
            let catalog = Catalog::open(chains.archive()).map_err(io::Error::other)?;
            for directory in catalog.directories() {
                let below = below(chains, directory.path());
                if recorders.contains(&below) {
                    buried(directory, &mut found.entry(below).or_default()[at])?;
                }
            }
            for hit in catalog.find(&Wanted::default()).map_err(io::Error::other)? {
                let recorder = below(chains, &hit.directory);
                if !recorders.contains(&recorder) || hit.state == State::Missing {
                    continue;
                }
                let sealed = hit.state == State::Sealed;
                let holes = self.holes(chains, &hit.directory, &hit.segment, sealed)?;
                let piece = Piece { holes, sealed, ..piece_of(&hit.segment) };
                let Segment { file: name, entry, bytes, .. } = hit.segment;
                let there = &mut found.entry(recorder).or_default()[at];
                there.files.push(File { name, entry, bytes, piece });
            }
        }
        Ok(found)
    }

    fn holes(
        &mut self,
        chains: &Chains,
        directory: &Path,
        segment: &Segment,
        sealed: bool,
    ) -> io::Result<Vec<(u64, u64)>> {
        if !sealed || segment.filled.0 == 0 {
            return Ok(Vec::new());
        }
        let key = (directory.join(&segment.file), segment.entry);
        if let Some(holes) = self.holes.get(&key) {
            return Ok(holes.clone());
        }
        let opened = chains.directory(directory)?;
        let sidecar = chain::sidecar_in(&opened, Path::new(&segment.file))?;
        let gaps = sidecar.into_iter().flat_map(|sidecar| sidecar.gaps).filter(|gap| gap.cause == STALL);
        let holes: Vec<_> = gaps.map(|gap| (gap.position.0, gap.position.0 + gap.frames.0)).collect();
        self.holes.insert(key, holes.clone());
        Ok(holes)
    }
}

fn piece_of(segment: &Segment) -> Piece {
    let span = (segment.start.0, segment.end().0);
    Piece { kind: segment.kind, rate: segment.rate, span, holes: Vec::new(), sealed: true }
}

fn buried(directory: &Beneath, there: &mut There) -> io::Result<()> {
    chain::tombstones(directory, |tombstone| {
        let sidecar =
            tombstone.sidecar.as_deref().and_then(|text| serde_json::from_str::<Sidecar>(text).ok());
        let Some(segment) = sidecar.and_then(|sidecar| Segment::of_sidecar(&sidecar).ok()) else {
            there.nameless.insert(tombstone.file);
            return;
        };
        let piece = piece_of(&segment);
        there.buried.push(piece.clone());
        if tombstone.why.starts_with(ASKED_FOR) {
            there.asked.push(Asked { piece, who: tombstone.who, when: tombstone.when });
        }
    })
}
