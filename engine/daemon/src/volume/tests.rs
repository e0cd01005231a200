//! Which volume is written to, and what is said of one that is not.

use std::fs::{create_dir, read_dir, remove_file, rename, write};

use audyn_media::Beneath;
use audyn_media::volume::{self, Identity, NAME};
use tempfile::TempDir;

use super::*;

/// A state directory and an archive's root beside it, which is not made.
struct Box {
    dir: TempDir,
}

impl Box {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        create_dir(dir.path().join("state")).unwrap();
        Self { dir }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    /// As an engine that starts.
    fn ours(&self) -> Ours {
        Ours::of(self.root(), Some(self.dir.path().join("state")), None)
    }

    /// Another volume at the root; the one that was there is set aside under a name.
    fn swap(&self, aside: &str) {
        rename(self.root(), self.dir.path().join(aside)).unwrap();
        create_dir(self.root()).unwrap();
    }

    fn back(&self, aside: &str) {
        std::fs::remove_dir_all(self.root()).unwrap();
        rename(self.dir.path().join(aside), self.root()).unwrap();
    }

    fn there(&self) -> Option<Identity> {
        volume::read(&Beneath::root(&self.root()).unwrap()).unwrap()
    }
}

fn refused(ours: &Ours) -> (VolumeStanding, String) {
    let error = ours.make(ours.root()).unwrap_err();
    assert!(is_not_ours(&error), "{error}");
    assert!(is_not_ours(&ours.open().unwrap_err()));
    ours.check(std::path::Path::new("/elsewhere/x.wav")).unwrap();
    let seen = ours.look().unwrap();
    assert_eq!(seen.sentence, Some(error.to_string()));
    // What is written already is confirmed unless the volume is surely another's.
    let is_anothers = matches!(
        seen.standing,
        VolumeStanding::Another | VolumeStanding::Unmarked | VolumeStanding::Missing | VolumeStanding::Same
    );
    let checked = ours.check(&ours.root().join("a/x.wav"));
    assert_eq!(checked.is_err_and(|error| is_not_ours(&error)), is_anothers, "{error}");
    (seen.standing, error.to_string())
}

#[test]
fn the_room_is_known_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let volume = Volume::watch(Chains::below(dir.path().join("not/yet/there"))).unwrap();
    assert!(volume.state().total_bytes > 0 && volume.state().free_bytes <= volume.state().total_bytes);
    assert_eq!(volume.alarm(), None);
}

#[test]
fn a_new_root_is_made_and_marked_and_one_with_recordings_is_marked() {
    let it = Box::new();
    let ours = it.ours();
    assert!(!is_not_ours(&ours.open().unwrap_err()), "it is not there, and nothing is expected");
    assert!(ours.look().is_err() && !it.root().exists(), "who only looks makes nothing");
    ours.make(&it.root()).unwrap();
    let made = it.there().unwrap();
    assert_eq!(ours.look().unwrap().expected, Some(made.clone()));
    assert_eq!(it.ours().look().unwrap().standing, VolumeStanding::Ours, "the next engine knows it");
    assert_eq!(it.there(), Some(made));

    let it = Box::new();
    create_dir(it.root()).unwrap();
    write(it.root().join("old.wav"), "audio").unwrap();
    let seen = it.ours().look().unwrap();
    assert_eq!((seen.standing, seen.found, seen.sentence), (VolumeStanding::Ours, it.there(), None));
}

#[test]
fn nothing_is_remembered_so_what_is_there_is_adopted() {
    let it = Box::new();
    it.ours().make(&it.root()).unwrap();
    let made = it.there();
    remove_file(it.dir.path().join("state/volumes.json")).unwrap();
    assert_eq!(it.ours().look().unwrap().expected, made);
    // A list that cannot be read is none.
    write(it.dir.path().join("state/volumes.json"), "{").unwrap();
    assert_eq!(it.ours().look().unwrap().expected, made);
    it.swap("mine");
    assert_eq!(refused(&it.ours()).0, VolumeStanding::Unmarked);
}

#[test]
fn another_volume_an_empty_mount_point_and_none_at_all_are_refused_until_the_right_one_is_back() {
    let it = Box::new();
    let ours = it.ours();
    ours.make(&it.root()).unwrap();
    let made = it.there().unwrap();

    it.swap("mine");
    let (standing, sentence) = refused(&ours);
    assert_eq!(standing, VolumeStanding::Unmarked);
    assert!(sentence.contains("empty mount point") && sentence.contains(&made.to_string()), "{sentence}");
    assert!(sentence.contains("audyn volume adopt"), "{sentence}");
    assert_eq!(read_dir(it.root()).unwrap().count(), 0, "nothing was written there");

    let other = volume::make(&Beneath::root(&it.root()).unwrap(), "2020".to_owned(), None).unwrap();
    let (standing, sentence) = refused(&ours);
    assert_eq!(standing, VolumeStanding::Another);
    assert!(sentence.contains(&format!("another volume ({other})")), "{sentence}");

    write(it.root().join(NAME), "garbage").unwrap();
    assert_eq!(refused(&ours).0, VolumeStanding::Unreadable);

    std::fs::remove_dir_all(it.root()).unwrap();
    let (standing, sentence) = refused(&ours);
    assert_eq!(standing, VolumeStanding::Missing);
    assert!(!sentence.contains("adopt") && !it.root().exists(), "{sentence}");

    create_dir(it.root()).unwrap();
    it.back("mine");
    assert_eq!(ours.look().unwrap().standing, VolumeStanding::Ours);
    ours.open().unwrap();
}

#[test]
fn a_person_may_take_over_what_is_there() {
    let it = Box::new();
    let ours = it.ours();
    ours.make(&it.root()).unwrap();
    let first = it.there().unwrap();
    it.swap("first");
    let second = ours.adopt().unwrap();
    assert_eq!(it.there(), Some(second.clone()));
    assert!(!second.is(&first));
    ours.open().unwrap();
    it.ours().open().unwrap();
    it.swap("second");
    it.back("first");
    assert_eq!(refused(&it.ours()).0, VolumeStanding::Another, "the first one is another's now");
    assert_eq!(ours.adopt().unwrap(), first, "it keeps its own");
    std::fs::remove_dir_all(it.root()).unwrap();
    assert!(ours.adopt().unwrap_err().contains("mount its disk"));
}

#[test]
fn a_volume_that_takes_no_identity_is_used_as_it_is_and_gets_one_when_it_can() {
    let it = Box::new();
    create_dir(it.root()).unwrap();
    // Whoever these tests run as may write everywhere; nobody may replace a directory by a file.
    let in_the_way = it.root().join(NAME);
    create_dir(&in_the_way).unwrap();
    let ours = it.ours();
    ours.open().unwrap();
    assert_eq!(ours.look().unwrap().standing, VolumeStanding::New);
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(ours.look().unwrap().standing, VolumeStanding::Ours);
    assert!(it.there().is_some());
}

#[test]
fn what_could_not_be_noted_is_noted_later_and_holds_until_then() {
    let it = Box::new();
    let (ours, state) = (it.ours(), it.dir.path().join("state"));
    std::fs::remove_dir(&state).unwrap();
    ours.make(&it.root()).unwrap();
    it.swap("mine");
    assert_eq!(refused(&ours).0, VolumeStanding::Unmarked);
    create_dir(&state).unwrap();
    ours.look().unwrap();
    assert_eq!(refused(&it.ours()).0, VolumeStanding::Unmarked, "the next engine knows it");
}

#[test]
fn each_disk_that_the_machine_chooses_has_its_own_volume() {
    let it = Box::new();
    let told = it.dir.path().join("chosen");
    let ours = || Ours::of(it.root(), Some(it.dir.path().join("state")), Some(told.clone()));
    create_dir(it.root()).unwrap();
    assert_eq!(refused(&ours()).0, VolumeStanding::Unchosen);
    write(&told, "volume=\n").unwrap();
    assert_eq!(refused(&ours()).0, VolumeStanding::Unchosen);
    assert_eq!(read_dir(it.root()).unwrap().count(), 0);

    write(&told, "volume=disk-0123\n").unwrap();
    let engine = ours();
    assert_eq!(
        (engine.look().unwrap().standing, engine.look().unwrap().sentence),
        (VolumeStanding::Ours, None)
    );
    // The next start is without it, and its own disk is chosen, which has never been used.
    it.swap("second");
    assert_eq!(refused(&engine).0, VolumeStanding::Unmarked, "in the midst of it the choice is another's");
    write(&told, "volume=own\nmissing=51 GB, Spinning Rust\n").unwrap();
    let engine = ours();
    let seen = engine.look().unwrap();
    assert_eq!(seen.standing, VolumeStanding::Ours);
    assert!(seen.sentence.unwrap().contains("(51 GB, Spinning Rust) was missing"));
    engine.open().unwrap();
    // That one pulled as well is no empty mount point to write to.
    it.swap("own");
    assert_eq!(refused(&engine).0, VolumeStanding::Unmarked);
    // And both are known again.
    it.back("second");
    assert_eq!(refused(&engine).0, VolumeStanding::Another);
    write(&told, "volume=disk-0123\n").unwrap();
    let seen = ours().look().unwrap();
    assert_eq!((seen.standing, seen.sentence), (VolumeStanding::Ours, None));
}

#[test]
fn of_many_who_come_first_at_once_all_have_the_same() {
    let it = Box::new();
    let engines: Vec<Ours> = (0..8).map(|_| it.ours()).collect();
    let all: Vec<_> = std::thread::scope(|scope| {
        let first = |ours: &Ours| {
            ours.make(ours.root()).unwrap();
            ours.look().unwrap().expected
        };
        let threads: Vec<_> = engines.iter().map(|ours| scope.spawn(move || first(ours))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|one| one.is_some() && *one == it.there()), "{all:?}");
}

/// A mirror in a directory that is there, and its archive's volume on another file system.
fn mirror(it: &Box, first: &std::path::Path) -> Ours {
    create_dir(it.root()).unwrap();
    create_dir(it.dir.path().join("first-state")).unwrap();
    let first = Ours::of(first.to_owned(), Some(it.dir.path().join("first-state")), None);
    Ours::mirror(it.root(), it.dir.path().join("state"), first)
}

#[test]
fn a_mirror_waits_for_the_archives_volume_and_is_known_without_it_from_then_on() {
    let it = Box { dir: tempfile::tempdir_in("/dev/shm").unwrap() };
    create_dir(it.dir.path().join("state")).unwrap();
    let archive = tempfile::tempdir().unwrap();
    let root = archive.path().join("root");
    let ours = mirror(&it, &root);
    let (standing, sentence) = refused(&ours);
    assert_eq!(standing, VolumeStanding::New);
    assert!(sentence.contains("waits for the archive's volume"), "{sentence}");
    assert_eq!(read_dir(it.root()).unwrap().count(), 0);
    assert!(ours.adopt().unwrap_err().contains("waits"));
    create_dir(&root).unwrap();
    ours.open().unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(
        ours.look().unwrap().standing,
        VolumeStanding::Ours,
        "the archive's disk is not asked any more"
    );
    // One that takes no identity is none.
    it.swap("mine");
    let root = archive.path().join("again");
    create_dir(&root).unwrap();
    create_dir(it.root().join(NAME)).unwrap();
    let first = Ours::of(root, None, None);
    let (standing, sentence) = refused(&Ours::mirror(it.root(), it.dir.path().join("other-state"), first));
    assert_eq!(standing, VolumeStanding::New);
    assert!(sentence.contains("takes no identity"), "{sentence}");
}

#[test]
fn a_mirror_on_the_machines_own_file_system_is_one_when_a_person_says_so_and_never_on_the_archives() {
    let it = Box::new();
    let device = |path: &std::path::Path| Beneath::root(path).unwrap().device().unwrap();
    if device(it.dir.path()) != device("/".as_ref()) {
        return; // temporary files lie on a file system of their own
    }
    let archive = tempfile::tempdir_in("/dev/shm").unwrap();
    let ours = mirror(&it, archive.path());
    let (standing, sentence) = refused(&ours);
    assert_eq!(standing, VolumeStanding::Unmarked);
    assert!(sentence.contains(&format!("audyn volume adopt {}", it.root().display())), "{sentence}");
    assert_eq!(read_dir(it.root()).unwrap().count(), 0);
    ours.adopt().unwrap();
    ours.open().unwrap();

    let beside = Ours::of(it.dir.path().join("first"), None, None);
    create_dir(beside.root()).unwrap();
    it.swap("mine");
    let same = Ours::mirror(it.root(), it.dir.path().join("other-state"), beside);
    assert_eq!(refused(&same).0, VolumeStanding::Same);
    assert!(same.adopt().unwrap_err().contains("protects nothing"));
    assert_eq!(read_dir(it.root()).unwrap().count(), 0);
}

/// A box whose mirror is known, on another file system than its archive; and the archive's root, a link that can lead elsewhere.
fn known_mirror() -> (Box, TempDir, Ours, Ours) {
    let it = Box { dir: tempfile::tempdir_in("/dev/shm").unwrap() };
    create_dir(it.dir.path().join("state")).unwrap();
    create_dir(it.dir.path().join("first-state")).unwrap();
    create_dir(it.root()).unwrap();
    let archive = tempfile::tempdir().unwrap();
    create_dir(archive.path().join("disk")).unwrap();
    lead(&archive, &archive.path().join("disk"));
    let first = Ours::of(archive.path().join("root"), Some(it.dir.path().join("first-state")), None);
    let ours = Ours::mirror(it.root(), it.dir.path().join("state"), first.clone());
    ours.open().unwrap();
    assert_eq!(first.look().unwrap().standing, VolumeStanding::Ours);
    (it, archive, first, ours)
}

/// The archive's root leads to this directory now, as if its disk were mounted.
fn lead(archive: &TempDir, to: &std::path::Path) {
    let root = archive.path().join("root");
    let _ = remove_file(&root); // the first time there is none
    std::os::unix::fs::symlink(to, root).unwrap();
}

#[test]
fn a_mirror_that_is_known_yields_when_the_archive_comes_to_its_volume() {
    let (it, archive, first, ours) = known_mirror();
    let beside = it.dir.path().join("beside");
    create_dir(&beside).unwrap();
    lead(&archive, &beside);
    assert_eq!(ours.look().unwrap().standing, VolumeStanding::Ours, "nothing is written beside it");
    first.adopt().unwrap();
    first.open().unwrap();
    let (standing, sentence) = refused(&ours);
    assert_eq!(standing, VolumeStanding::Same);
    assert!(sentence.contains("the same volume as the archive"), "{sentence}");
    assert!(ours.adopt().unwrap_err().contains("the same volume as the archive"));
    // And mirrors again when the archive has gone from there.
    lead(&archive, &archive.path().join("disk"));
    first.adopt().unwrap();
    assert_eq!(first.look().unwrap().standing, VolumeStanding::Ours);
    ours.open().unwrap();
}

#[test]
fn what_has_the_archives_identity_is_no_mirror() {
    let (it, archive, _, ours) = known_mirror();
    let identity = std::fs::read(archive.path().join("disk").join(NAME)).unwrap();
    // In the mirror's place, and in one of which nothing is known: the archive was copied there.
    it.swap("mine");
    write(it.root().join(NAME), &identity).unwrap();
    let new = Ours::mirror(it.root(), it.dir.path().join("other-state"), ours.first().unwrap());
    create_dir(it.dir.path().join("other-state")).unwrap();
    for ours in [&ours, &new] {
        let (standing, sentence) = refused(ours);
        assert_eq!(standing, VolumeStanding::Same);
        let way = format!("remove {} if this is a copy", it.root().join(NAME).display());
        assert!(sentence.contains(&way), "{sentence}");
        assert!(ours.adopt().unwrap_err().contains("has the identity of the archive's volume"));
    }
    assert_eq!(std::fs::read(it.root().join(NAME)).unwrap(), identity);
    remove_file(it.root().join(NAME)).unwrap();
    new.open().unwrap();
    assert!(it.there().is_some_and(|made| !new.first().unwrap().remembers(&made)));
}

#[test]
fn the_mirrors_volume_does_not_become_the_archives_on_a_persons_word() {
    let (it, archive, first, ours) = known_mirror();
    lead(&archive, &it.root());
    let said = first.adopt().unwrap_err();
    assert!(said.contains("the one of the mirror") && said.contains("take the mirror out"), "{said}");
    assert!(is_not_ours(&first.open().unwrap_err()));
    assert_eq!(ours.look().unwrap().standing, VolumeStanding::Ours);
    // Without a mirror it may.
    drop(ours);
    first.adopt().unwrap();
    first.open().unwrap();
}
