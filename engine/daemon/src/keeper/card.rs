//! Hardware clocks that are watched: opened when they are there, read each round, opened again when they return.
//!
//! Owns: the open clocks, and the links that the capture thread stamps by. Never: the only hand on a clock: what vanishes is told
//! and done without.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audyn_core::judge::PhcTold;
use audyn_sys::{CrossMethod, CrossStamp, Phc};
use audyn_units::Nanos;

use super::link::{Link, SharedLink};

/// A clock that is led changes its pace by less than this, in parts in 10⁹; what is more is a step.
const PACE: i64 = 500_000;

/// What one hardware clock told in this round.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) stamp: CrossStamp,
}

impl Reading {
    pub(super) fn told(&self) -> PhcTold {
        let phc = self.stamp.phc.as_nanos();
        PhcTold::Read {
            minus_utc: Nanos(phc - self.stamp.utc.as_nanos()),
            minus_mono: Nanos(phc - self.stamp.mono.as_nanos()),
        }
    }

    pub(super) fn method(&self) -> &'static str {
        match self.stamp.method {
            CrossMethod::Precise => "precise",
            CrossMethod::Extended => "extended",
            CrossMethod::Plain => "plain",
            CrossMethod::Read => "read",
        }
    }
}

#[derive(Debug, Default)]
struct Card {
    phc: Option<Phc>,
    link: Arc<SharedLink>,
    last: Option<CrossStamp>,
    reading: Option<Result<Reading, String>>,
}

/// All that are watched, by their path.
#[derive(Debug, Default)]
pub(super) struct Cards(BTreeMap<PathBuf, Card>);

impl Cards {
    /// Watches a clock, from the next round on, and gives the link by which it is told.
    pub(super) fn watch(&mut self, path: &Path) -> Arc<SharedLink> {
        Arc::clone(&self.0.entry(path.to_owned()).or_default().link)
    }

    /// Reads every clock that is watched.
    pub(super) fn read_all(&mut self) {
        for (path, card) in &mut self.0 {
            card.read(path);
        }
    }

    /// Reads one clock, unless it was read in this round.
    pub(super) fn read(&mut self, path: &Path) -> Result<Reading, String> {
        let card = self.0.entry(path.to_owned()).or_default();
        if card.reading.is_none() {
            card.read(path);
        }
        card.reading.clone().unwrap_or_else(|| Err("it was not read".to_owned()))
    }
}

impl Card {
    fn read(&mut self, path: &Path) {
        let taken = match &mut self.phc {
            Some(phc) => phc.cross_stamp().map_err(|error| error.to_string()),
            None => match Phc::open(path) {
                Ok(phc) => self.phc.insert(phc).cross_stamp().map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        };
        match &taken {
            Ok(stamp) => {
                self.link.tell(Some(linked(self.last.as_ref(), stamp)));
                self.last = Some(*stamp);
            }
            Err(_) => {
                // A card that was pulled and put back is another device by the old name.
                self.phc = None;
                self.last = None;
                self.link.tell(None);
            }
        }
        self.reading = Some(taken.map(|stamp| Reading { stamp }));
    }
}

/// The link that a stamp gives, with the pace since the one before if there was no step in between.
fn linked(before: Option<&CrossStamp>, now: &CrossStamp) -> Link {
    let pace = before.and_then(|before| {
        let (phc, mono) = ((now.phc - before.phc).0, (now.mono - before.mono).0);
        // The error of the two stamps counts less, the further they are apart.
        let faster =
            i128::from(phc - mono) * 1_000_000_000 / i128::from((mono > 100_000_000).then_some(mono)?);
        i64::try_from(faster).ok().filter(|faster| faster.abs() <= PACE)
    });
    Link { phc: now.phc, mono: now.mono, faster: pace.unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use audyn_units::Timestamp;

    use super::*;

    fn stamp(phc: i64, mono: i64) -> CrossStamp {
        CrossStamp {
            phc: Timestamp::from_nanos(phc),
            mono: Timestamp::from_nanos(mono),
            utc: Timestamp::from_nanos(mono + 7),
            uncertainty: Nanos(50),
            method: CrossMethod::Extended,
        }
    }

    #[test]
    fn the_pace_is_taken_between_two_stamps_and_never_across_a_step() {
        let second = 1_000_000_000;
        let first = stamp(0, 0);
        assert_eq!(linked(None, &first).faster, 0);
        assert_eq!(linked(Some(&first), &stamp(second + 20_000, second)).faster, 20_000);
        assert_eq!(linked(Some(&first), &stamp(second - 3_600 * second, second)).faster, 0);
        assert_eq!(linked(Some(&first), &stamp(i64::MAX, second)).faster, 0);
        // Two rounds right after each other measure nothing.
        assert_eq!(linked(Some(&first), &stamp(1_100, 1_000)).faster, 0);
    }

    #[test]
    fn a_clock_that_is_not_there_is_told_and_has_no_link() {
        let mut cards = Cards::default();
        let nowhere = Path::new("/dev/ptp-that-is-not-there");
        let shared = cards.watch(nowhere);
        let mut known = Some(Link { phc: Timestamp::ZERO, mono: Timestamp::ZERO, faster: 0 });
        cards.read_all();
        shared.read(&mut known);
        assert_eq!(known, None);
        assert!(cards.read(nowhere).unwrap_err().contains("ptp-that-is-not-there"));
    }

    #[test]
    fn what_is_told_are_differences() {
        let told = Reading { stamp: stamp(1_000, 400) }.told();
        assert_eq!(told, PhcTold::Read { minus_utc: Nanos(593), minus_mono: Nanos(600) });
    }
}
