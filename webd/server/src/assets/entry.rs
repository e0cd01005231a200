//! One file or directory of the archive as JSON.

use std::collections::HashSet;
use std::io::BufReader;

use audyn_api::Snapshot;
use audyn_media::WavInfo;
use serde::Serialize;

use super::begins;
use crate::archive::{Folder, Item};
use crate::time::rfc3339_of_file;

/// The files that are being recorded.
pub(super) struct InUse<'a>(HashSet<&'a str>);

impl<'a> InUse<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        Self(snapshot.recorders.iter().filter_map(|recorder| recorder.current_file.as_deref()).collect())
    }
}

#[derive(Serialize)]
pub(super) struct Entry {
    name: String,
    /// Relative to the archive root.
    path: String,
    r#type: Kind,
    size: u64,
    /// RFC 3339, UTC
    modified: String,
    /// Of a WAV file, by its header; null for others and for a header that cannot be read.
    duration_seconds: Option<f64>,
    /// It is being written.
    recording: bool,
    /// `wav`, `flac`, `opus`, or null
    format: Option<&'static str>,
    /// Of a recording that is read on the mirror since the archive's volume is away: what whoever deletes it says back.
    #[serde(skip_serializing_if = "Option::is_none")]
    begins: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Directory,
    File,
}

impl Entry {
    /// The entry of `item`, which is in `folder` and has this path from the root, the mirror's or the archive's.
    pub(super) fn new(
        path: String,
        item: &Item,
        folder: &Folder,
        in_use: &InUse<'_>,
        of_mirror: bool,
    ) -> Self {
        let format = if item.directory { None } else { format(&item.name) };
        let begins = format.filter(|_| of_mirror).and_then(|_| begins::of(folder, &item.name));
        Self {
            name: item.name.clone(),
            r#type: if item.directory { Kind::Directory } else { Kind::File },
            size: item.size,
            modified: rfc3339_of_file(item.modified.0, item.modified.1),
            duration_seconds: (format == Some("wav")).then(|| wav_seconds(folder, &item.name)).flatten(),
            recording: in_use.0.contains(path.as_str()),
            format,
            begins: begins.map(begins::text),
            path,
        }
    }
}

fn wav_seconds(folder: &Folder, name: &str) -> Option<f64> {
    let file = folder.file(name).ok()?.file;
    let info = WavInfo::read(&mut BufReader::with_capacity(512, file)).ok()?;
    let seconds = info.frames.0 as f64 / f64::from(info.spec.rate.hz());
    Some((seconds * 1e3).round() / 1e3)
}

/// The format by the name's ending.
pub(super) fn format(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    ["wav", "flac", "opus"].into_iter().find(|known| ending.eq_ignore_ascii_case(known))
}
