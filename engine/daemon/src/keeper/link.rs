//! The link from a hardware clock to the monotonic one, as the capture thread needs it.
//!
//! Owns: three numbers that the keeper tells once a second and that the capture thread reads without a lock. Never: waits:
//! a reader that meets the writer goes on with what it knew.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI64, AtomicU32, fence};

use audyn_units::{Mono, Nanos, Phc, Timestamp};

/// A link is not stretched further than this from where it was measured: the keeper measures each second.
const REACH: Nanos = Nanos::from_secs(5);

/// A hardware clock beside the monotonic one, at one moment, and how much faster it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) phc: Timestamp<Phc>,
    pub(crate) mono: Timestamp<Mono>,
    /// Parts in 10⁹ by which the hardware clock is faster.
    pub(crate) faster: i64,
}

impl Link {
    /// The monotonic instant of a hardware one; none if that is too far away, as after a step.
    pub(crate) fn to_mono(self, phc: Timestamp<Phc>) -> Option<Timestamp<Mono>> {
        let since = Nanos(phc.as_nanos().checked_sub(self.phc.as_nanos())?);
        let near = (-REACH..=REACH).contains(&since);
        near.then(|| self.mono + Nanos(since.0 - since.0 * self.faster / 1_000_000_000))
    }
}

/// Where one thread tells a link and others read it (a sequence lock: the number is odd while it is being told).
#[derive(Debug, Default)]
pub(crate) struct SharedLink {
    number: AtomicU32,
    /// 0 for none.
    there: AtomicU32,
    phc: AtomicI64,
    mono: AtomicI64,
    faster: AtomicI64,
}

impl SharedLink {
    /// Tells what holds now. By one thread only.
    pub(crate) fn tell(&self, link: Option<Link>) {
        let number = self.number.load(Relaxed);
        self.number.store(number.wrapping_add(1), Relaxed);
        fence(Release);
        self.there.store(u32::from(link.is_some()), Relaxed);
        if let Some(link) = link {
            self.phc.store(link.phc.as_nanos(), Relaxed);
            self.mono.store(link.mono.as_nanos(), Relaxed);
            self.faster.store(link.faster, Relaxed);
        }
        self.number.store(number.wrapping_add(2), Release);
    }

    /// Brings `known` to what was told last; leaves it if that is being told right now.
    pub(crate) fn read(&self, known: &mut Option<Link>) {
        let number = self.number.load(Acquire);
        if number % 2 == 1 {
            return;
        }
        let link = (self.there.load(Relaxed) == 1).then(|| Link {
            phc: Timestamp::from_nanos(self.phc.load(Relaxed)),
            mono: Timestamp::from_nanos(self.mono.load(Relaxed)),
            faster: self.faster.load(Relaxed),
        });
        fence(Acquire);
        if self.number.load(Relaxed) == number {
            *known = link;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_link_converts_with_its_rate_and_reaches_no_further_than_it_may() {
        let link =
            Link { phc: Timestamp::from_nanos(1_000), mono: Timestamp::from_nanos(5_000), faster: 100_000 };
        let second = Timestamp::from_nanos(1_000) + Nanos::from_secs(1);
        assert_eq!(link.to_mono(second), Some(Timestamp::from_nanos(5_000 + 1_000_000_000 - 100_000)));
        assert_eq!(link.to_mono(second + Nanos::from_secs(5)), None);
        assert_eq!(link.to_mono(second - Nanos::from_secs(3_600)), None);
        assert_eq!(link.to_mono(Timestamp::from_nanos(i64::MIN)), None);
    }

    #[test]
    fn a_reader_never_sees_half_of_one_link_and_half_of_another() {
        let shared = Arc::new(SharedLink::default());
        let over = Arc::new(AtomicBool::new(false));
        let (telling, done) = (Arc::clone(&shared), Arc::clone(&over));
        let teller = std::thread::spawn(move || {
            for n in 0..200_000 {
                let link = Link { phc: Timestamp::from_nanos(n), mono: Timestamp::from_nanos(n), faster: n };
                telling.tell((n % 7 != 0).then_some(link));
            }
            done.store(true, Release);
        });
        let mut known = None;
        while !over.load(Acquire) {
            shared.read(&mut known);
            if let Some(Link { phc, mono, faster }) = known {
                assert_eq!((phc.as_nanos(), mono.as_nanos()), (faster, faster));
            }
        }
        teller.join().unwrap();
        shared.read(&mut known);
        assert_eq!(known.map(|link| link.faster), Some(199_999));
        shared.tell(None);
        shared.read(&mut known);
        assert_eq!(known, None);
    }
}
