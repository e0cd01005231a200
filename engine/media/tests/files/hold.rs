//! What an export is going to read, while others delete it.

use std::fs::File;
use std::path::Path;

use audyn_media::archive::{Kind, Range, Segment, Wanted, of_recorder};
use audyn_media::chain::Chain;
use audyn_media::export::{Exported, Order, export};
use audyn_media::{Beneath, WavReader};
use audyn_units::{FrameCount, FrameIndex};

use crate::archive::{LENGTH, START, archive, format, signal};

/// Exports all four seconds of an archive, and does something when this many frames are done.
fn exported(recorder: &Path, descriptors: usize, output: &Path, mut at: impl FnMut(FrameCount)) -> Exported {
    let root = Beneath::root(recorder).unwrap();
    let segments: Vec<Segment> = of_recorder(&root, &Wanted::default()).unwrap();
    assert_eq!(segments.len(), 4);
    let range = Range::plan(segments, FrameIndex(START), FrameIndex(START + 4 * LENGTH), None).unwrap();
    let (originator, format, recorder) = ("Audyn test".to_owned(), format(Kind::Wav), root.into());
    let order = Order { recorder, range, descriptors, format, output, clock: None, originator };
    let each = |done| {
        at(done);
        true
    };
    export(order, each).unwrap()
}

fn samples(output: &Path) -> Vec<i32> {
    let mut samples = vec![0; 2 * 4 * LENGTH as usize];
    WavReader::open(output).unwrap().read(&mut samples).unwrap();
    samples
}

fn bury(chain: &mut Chain, file: &str) {
    chain.bury(file, "anna", "2026-07-02T00:00:00Z", "asked for").unwrap();
}

#[test]
fn what_is_planned_is_locked_to_its_end_and_comes_whole_though_a_person_deletes_it() {
    let (dir, mut chain) = archive();
    let (recorder, output) = (dir.path().join("a"), dir.path().join("out.wav"));
    let files = ["00.wav", "01.wav", "02.wav", "03.wav"].map(|name| File::open(recorder.join(name)).unwrap());
    // As whoever deletes by limits asks.
    let free = || {
        files.each_ref().map(|file| {
            let is_free = file.try_lock().is_ok();
            file.unlock().unwrap();
            is_free
        })
    };
    let mut seen = Vec::new();
    let told = exported(&recorder, 64, &output, |_| {
        seen.push(free());
        if seen.len() == 1 {
            bury(&mut chain, "01.wav");
            bury(&mut chain, "02.wav");
        }
    });
    assert!(samples(&output) == signal(START, 4 * LENGTH));
    assert_eq!((told.frames_filled, told.troubles), (FrameCount::ZERO, vec![]));
    // The last one is not sealed, and whoever seals it shall not wait.
    assert_eq!(seen[0], [false, false, false, true]);
    assert_eq!(seen[2][..3], [true, true, false], "what is done with is let go");
    assert_eq!(free(), [true; 4]);
}

#[test]
fn what_somebody_had_locked_for_a_moment_is_locked_once_that_is_over() {
    let (dir, _chain) = archive();
    let (recorder, output) = (dir.path().join("a"), dir.path().join("out.wav"));
    let [looker, asker] = [(); 2].map(|()| File::open(recorder.join("02.wav")).unwrap());
    // As who looks what may be deleted has it, just when the export begins.
    looker.try_lock().unwrap();
    let mut seen = Vec::new();
    exported(&recorder, 64, &output, |_| {
        seen.push(asker.try_lock().is_ok());
        looker.unlock().unwrap();
    });
    assert_eq!(seen[..2], [false, false], "by the looker, then by the export");
    assert!(samples(&output) == signal(START, 4 * LENGTH));
}

#[test]
fn of_more_files_than_descriptors_one_that_goes_before_its_turn_is_told_and_another_is_not_taken_for_it() {
    let (dir, mut chain) = archive();
    let (recorder, output) = (dir.path().join("a"), dir.path().join("out.wav"));
    let mut first = true;
    let told = exported(&recorder, 3, &output, |_| {
        if std::mem::take(&mut first) {
            bury(&mut chain, "01.wav");
            // Another file under the name of one that is yet to come.
            std::fs::copy(recorder.join("02.wav"), recorder.join("other")).unwrap();
            std::fs::rename(recorder.join("other"), recorder.join("02.wav")).unwrap();
        }
    });
    let mut wanted = signal(START, 4 * LENGTH);
    wanted[2 * LENGTH as usize..2 * 3 * LENGTH as usize].fill(0);
    assert!(samples(&output) == wanted);
    assert_eq!(told.lacks["unreadable"].frames, FrameCount(2 * LENGTH));
    let [gone, replaced] = &told.troubles[..] else { panic!("{:?}", told.troubles) };
    assert!(
        gone.contains("01.wav: it was deleted after this had begun") && gone.contains("1 at a time"),
        "{gone}"
    );
    assert!(replaced.contains("02.wav: it was replaced by another one"), "{replaced}");
}
