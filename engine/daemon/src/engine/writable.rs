//! Whether a recording could be made: asked of the volumes before one is begun.
//!
//! Owns: the question. Never: lets a volume that hangs keep the other one from being recorded to; has more than one thread hang with a volume.
//!
//! Of one volume whoever asks waits for its disk, on a thread that may. Of two each is asked on a thread of its own, and the first that can be
//! recorded to suffices.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audyn_sys::SysError;
use audyn_units::Nanos;

use super::lock;
use crate::chains::Chains;
use crate::error::EngineError;
use crate::naming::Naming;

/// One of two volumes that has been asked for this long hangs. Below what a client is let wait for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks whether a volume that somebody asks already is free to be asked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The volumes that can be asked, the archive's first. Clones ask the same.
#[derive(Debug, Clone)]
pub(crate) struct Writable(Vec<(Chains, Asked)>);

/// Since when a volume has been asked, if it has not answered yet.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Option<Instant>>>);

type Answer = Result<(), EngineError>;

impl Writable {
    pub(super) fn on(volumes: impl Iterator<Item = Chains>) -> Self {
        Self(volumes.map(|chains| (chains, Asked::default())).collect())
    }

    /// Refuses where nothing could be recorded to any of the volumes; says what the first one says.
    pub(crate) fn check(
        &self,
        naming: &Naming,
        tai_offset: Option<Nanos>,
        suffixes: &[&'static str],
    ) -> Result<(), EngineError> {
        if let [(archive, _)] = &self.0[..] {
            return naming.check_writable_on(archive.ours(), tai_offset, suffixes);
        }
        let work = |which: usize| {
            let ours = self.0[which].0.ours().clone();
            let naming = if ours.is_mirror() { naming.at(ours.root()) } else { naming.clone() };
            let suffixes = suffixes.to_vec();
            move || naming.check_writable_on(&ours, tai_offset, &suffixes)
        };
        let asked: Vec<&Asked> = self.0.iter().map(|(_, asked)| asked).collect();
        either(&asked, work).map_err(|first| {
            let path = self.0.first().map_or_else(PathBuf::new, |(archive, _)| archive.archive().to_owned());
            let hangs = || io::Error::new(io::ErrorKind::TimedOut, "its disk does not answer");
            first.unwrap_or_else(|| EngineError::Unwritable { path, source: hangs() })
        })
    }
}

/// Asks each by the work that it is given, until one can be recorded to. The error is the first one's, none if that hangs.
fn either<F>(asked: &[&Asked], work: impl Fn(usize) -> F) -> Result<(), Option<EngineError>>
where
    F: FnOnce() -> Answer + Send + 'static,
{
    let (tell, told) = channel();
    let mut unasked: Vec<usize> = (0..asked.len()).collect();
    let mut refused: Vec<Option<EngineError>> = asked.iter().map(|_| None).collect();
    loop {
        unasked.retain(|&which| !asked[which].ask(which, || work(which), &tell));
        match told.recv_timeout(LOOK_AGAIN) {
            Ok((_, Ok(()))) => return Ok(()),
            Ok((which, Err(error))) => refused[which] = Some(error),
            Err(_) => {}
        }
        if asked.iter().zip(&refused).all(|(asked, refused)| refused.is_some() || asked.hangs()) {
            return Err(refused.into_iter().next().flatten());
        }
    }
}

impl Asked {
    /// Asks on a thread that may hang, unless one does by now; whether it is asked.
    fn ask<F>(&self, which: usize, work: impl FnOnce() -> F, tell: &Sender<(usize, Answer)>) -> bool
    where
        F: FnOnce() -> Answer + Send + 'static,
    {
        let mut since = lock(&self.0);
        if since.is_some() {
            return false;
        }
        let (work, asked, answer) = (work(), self.clone(), tell.clone());
        let ask = move || {
            let said = work();
            *lock(&asked.0) = None;
            // Whoever asked may have had the other one's answer.
            let _ = answer.send((which, said));
        };
        match std::thread::Builder::new().name("audyn-ask".to_owned()).spawn(ask) {
            Ok(_) => *since = Some(Instant::now()),
            Err(source) => drop(tell.send((which, Err(SysError::Thread { source }.into())))),
        }
        true
    }

    fn hangs(&self) -> bool {
        lock(&self.0).is_some_and(|since| since.elapsed() >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    /// Only there for what will never come.
    const NEVER_COMES: Duration = Duration::from_secs(30);

    type Work = Box<dyn FnOnce() -> Answer + Send>;

    fn hangs(gate: &Arc<Mutex<Receiver<()>>>, begun: &Sender<()>) -> Work {
        let (gate, begun) = (Arc::clone(gate), begun.clone());
        Box::new(move || {
            begun.send(()).unwrap();
            // An error means that the gate stands open.
            let _ = lock(&gate).recv();
            Ok(())
        })
    }

    fn refuses(why: &str) -> Answer {
        Err(EngineError::Conflict(why.to_owned()))
    }

    #[test]
    fn one_that_hangs_keeps_nobody_from_the_other_and_hangs_with_one_thread() {
        let (go, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (begun, begins) = channel();
        let (archive, mirror) = (Asked::default(), Asked::default());
        let both = [archive.clone(), mirror.clone()];
        let hung = Arc::clone(&gate);
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let both = [&both[0], &both[1]];
            let works = |second: fn() -> Answer| {
                let (hung, begun) = (&hung, &begun);
                move |which| if which == 0 { hangs(hung, begun) } else { Box::new(second) as Work }
            };
            tell.send(either(&both, works(|| Ok(())))).unwrap();
            tell.send(either(&both, works(|| Ok(())))).unwrap();
            tell.send(either(&both, works(|| refuses("the mirror is full")))).unwrap();
        });
        let next = || told.recv_timeout(NEVER_COMES).expect("it never comes");
        assert!(
            next().is_ok() && next().is_ok(),
            "the mirror is enough, also where the archive hangs already"
        );
        assert!(matches!(next(), Err(None)), "what the first one says is that it does not answer");
        begins.recv_timeout(NEVER_COMES).unwrap();
        assert!(begins.try_recv().is_err(), "one thread hangs, however often it is asked for");
        drop(go);
        drop(lock(&gate));
        let answers = |which| -> Work { Box::new(move || if which == 0 { Ok(()) } else { refuses("full") }) };
        assert!(either(&[&archive, &mirror], answers).is_ok(), "it answers again");
    }

    #[test]
    fn where_both_refuse_the_first_one_says_why() {
        let both = [&Asked::default(), &Asked::default()];
        let work = |which| move || refuses(["read-only", "full"][which]);
        let said = either(&both, work).unwrap_err().unwrap().to_string();
        assert_eq!(said, "read-only");
    }
}
