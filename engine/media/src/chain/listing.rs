//! What is kept beside the chain so that nobody need read all of it: the index, and the list of what is not sealed.
//!
//! Never: what [`super::verify`] goes by. Both are made anew from what the disk holds.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::files::{self, HOUSE, Head, House, Tombstone, is_audio, sidecar_of};
use super::seal::place;
use super::sidecar::Sidecar;
use super::verify::{entries_of, walk};
use crate::Beneath;
use crate::archive::Segment;
use crate::archive::index::{self, Row};

/// The list's name in the house.
const OPEN: &str = "open.json";

/// The name of the list of what can never be sealed.
const UNSEALABLE: &str = "unsealable.json";

/// The head as the index tells it: its entry, and the first bytes of its hash.
fn told(head: &Head) -> (u64, u64) {
    (head.entry, head.hash.map_or(0, |hash| hash.beginning()))
}

/// The head of a recorder's chain, as the index tells it; none if there is none.
pub(crate) fn head_of(recorder: &Beneath) -> io::Result<Option<(u64, u64)>> {
    let head = House::open(recorder)?.map(|house| house.head()).transpose()?.flatten();
    Ok(head.as_ref().map(told))
}

/// Makes the index anew unless it is that of the chain.
pub(super) fn indexed(recorder: &Beneath, house: &House, head: &Head) -> io::Result<()> {
    if index::load(house.dir())?.is_some_and(|bytes| index::covers(&bytes, told(head))) {
        return Ok(());
    }
    write_index(recorder, house, head)
}

/// What sidecars tell, and the beginnings of their hashes.
type Sealed = (Vec<Segment>, Vec<u64>);

/// Makes the index from the sidecars.
pub(super) fn write_index(recorder: &Beneath, house: &House, head: &Head) -> io::Result<()> {
    write_sealed(&sealed(recorder)?, house, head)
}

fn write_sealed((segments, hashes): &Sealed, house: &House, head: &Head) -> io::Result<()> {
    let mut rows: Vec<Row<'_>> =
        segments.iter().zip(hashes).map(|(segment, hash)| Row::sealed(segment, *hash)).collect();
    // The head may be a tombstone, which buries what is not listed any more.
    let (entry, hash) = told(head);
    if entry > 0 && rows.iter().all(|row| row.entry != entry) {
        let at = rows.partition_point(|row| row.entry < entry);
        rows.insert(at, Row::tombstone(entry, hash, None));
    }
    index::write_whole(house.dir(), rows.into_iter())
}

/// All sealed recordings, by reading their sidecars. The index is made anew as well, if no engine keeps the chain. It is kept from an engine
/// only while that is written, and not for the seconds in which hundreds of thousands of sidecars are read.
pub(crate) fn reindex(recorder: &Beneath) -> io::Result<Vec<Segment>> {
    reindexed(recorder, || sealed(recorder))
}

/// The same, as `read` reads them.
pub(super) fn reindexed(
    recorder: &Beneath,
    read: impl FnOnce() -> io::Result<Sealed>,
) -> io::Result<Vec<Segment>> {
    let head = |house: &House| house.head().ok().flatten();
    let before = House::open(recorder).ok().flatten().as_ref().and_then(head);
    let found = read()?;
    // It may be a disk that nothing can be written to.
    if let Ok(Some(house)) = House::borrow(recorder)
        && let Some(head) = head(&house)
        && Some(&head) == before.as_ref()
    {
        let _ = write_sealed(&found, &house, &head); // it is made anew another time
    }
    Ok(found.0)
}

/// All sealed recordings in the order of the chain, and the beginnings of their sidecars' hashes.
pub(super) fn sealed(recorder: &Beneath) -> io::Result<Sealed> {
    let mut entries = entries_of(recorder, &mut |_, _| {})?;
    entries.sort_by_key(|entry| entry.number);
    let recordings = entries.iter().filter_map(|entry| {
        let segment = Segment::of_sidecar(entry.sealed()?).ok()?;
        Some((segment, entry.hash.beginning()))
    });
    Ok(recordings.unzip())
}

/// What the sidecar of a file, a path below the recorder's directory, tells; none if it has none.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::InvalidData`] if what stands there is no sidecar.
pub fn sidecar_in(recorder: &Beneath, file: &Path) -> io::Result<Option<Sidecar>> {
    let (directory, name) = match place(recorder, file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let text = files::read(&directory, &sidecar_of(name))?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?)
}

/// The tombstones of a recorder in their order, to `each`, in constant memory. What is none is passed over.
///
/// # Errors
/// What the disk says.
pub fn tombstones(recorder: &Beneath, mut each: impl FnMut(Tombstone)) -> io::Result<()> {
    let Some(house) = House::open(recorder)? else { return Ok(()) };
    house.tombstones(|line| {
        if let Ok(tombstone) = serde_json::from_slice(line) {
            each(tombstone);
        }
    })
}

/// Number and beginning of the hash of a chain's newest entry: what tells whether anything was sealed or deleted since.
///
/// # Errors
/// What the disk says.
pub fn newest_of(recorder: &Beneath) -> io::Result<Option<(u64, u64)>> {
    head_of(recorder)
}

/// The files that were told to be open or to wait to be sealed, as paths below the recorder's directory; none if nobody has told.
pub(crate) fn open_files(recorder: &Beneath) -> io::Result<Option<Vec<String>>> {
    let Some(house) = House::open(recorder)? else { return Ok(None) };
    let text = files::read(house.dir(), OsStr::new(OPEN))?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Tells which files of a recorder are open or wait to be sealed, as paths below its directory: by whoever writes them, so that they
/// are found without looking at all that is there. One that is listed and is neither does no harm.
///
/// # Errors
/// What the disk says; those before stay listed.
pub fn set_open_files(recorder: &Beneath, files: &[String]) -> io::Result<()> {
    let house = recorder.try_clone()?.make(Path::new(HOUSE))?;
    let mut text = serde_json::to_vec(files)?;
    text.push(b'\n');
    files::replace(&house, OsStr::new(OPEN), &text)
}

/// The recordings that can never be sealed, as paths below the recorder's directory, and why: what is gone or sealed by now is left out.
///
/// # Errors
/// What the disk says.
pub fn unsealable(recorder: &Beneath) -> io::Result<Vec<(String, String)>> {
    let Some(house) = House::open(recorder)? else { return Ok(Vec::new()) };
    let text = files::read(house.dir(), OsStr::new(UNSEALABLE))?;
    let told: BTreeMap<String, String> =
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let stands = |file: &str| -> io::Result<bool> {
        let (directory, name) = match place(recorder, Path::new(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        Ok(directory.kind_of(name)?.is_some() && directory.kind_of(&sidecar_of(name))?.is_none())
    };
    told.into_iter()
        .filter_map(|(file, why)| stands(&file).map(|stands| stands.then_some((file, why))).transpose())
        .collect()
}

/// Tells that a file of a recorder can never be sealed, and why: by whoever tried, so that it is found all the same.
///
/// # Errors
/// What the disk says; those before stay listed.
pub fn tell_unsealable(recorder: &Beneath, file: &str, why: &str) -> io::Result<()> {
    let mut told: BTreeMap<String, String> = unsealable(recorder)?.into_iter().collect();
    if told.get(file).is_some_and(|before| before == why) {
        return Ok(());
    }
    told.insert(file.to_owned(), why.to_owned());
    let house = recorder.try_clone()?.make(Path::new(HOUSE))?;
    let mut text = serde_json::to_vec(&told)?;
    text.push(b'\n');
    files::replace(&house, OsStr::new(UNSEALABLE), &text)
}

/// All audio of a recorder's directory without a sidecar, as paths below it: by looking at all that is there. `go_on` is asked meanwhile.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::Interrupted`] if it shall not go on.
pub fn unsealed(recorder: &Beneath, mut go_on: impl FnMut() -> bool) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    walk(recorder, &mut |file, directory, name| {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if is_audio(name) && directory.kind_of(&sidecar_of(OsStr::new(name)))?.is_none() {
            found.push(file.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}
