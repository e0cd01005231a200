//! The judge of the clock: how well TAI is known, from what ptp4l, the network cards' clocks and the kernel tell.
//!
//! Owns: whom the clock follows, the TAI offset in use, the alarms with their beginning and end. Never: asks anybody (the
//! daemon's keeper does, about once a second), sets a clock, or guesses upwards.
//!
//! What positions are taken from is the system clock (CLOCK_REALTIME and the TAI offset). So "locked to PTP" is not what ptp4l
//! says of itself but all of this together: a port follows a grandmaster whose syncs come, that one's time is TAI, the offset
//! from UTC is known, and the system clock is where the grandmaster's time is, as measured: by a cross stamp of the card's clock,
//! or by ptp4l itself where it stamps by the system clock. ptp4l goes on to name a grandmaster that is gone; only the port's state
//! and the arrival of syncs tell that it is still there.
//!
//! ```text
//!                grandmaster, TAI, offset small                grandmaster gone, clock astray
//!  ntp / none ─────────────────────────────────► ptp-locked ────────────────────────────────► ptp-free-running
//!      ▲                                             ▲                                          │        │
//!      │                                             └───────────── as before ──────────────────┘        │
//!      └───────────────────────────────── held over for longer than allowed ─────────────────────────────┘
//! ```

mod alarm;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use audyn_units::{ClockQuality, Mono, Nanos, Timestamp, Utc};
use audyn_wire::ptp::RefClock;

pub use alarm::{Alarm, AlarmKind, Change};
pub use server::{Follow, PhcTold, PortTold, PtpTold, ServerTold};

use alarm::{Book, Wanted};
use server::Server;

/// A clock may be astray for so long before it counts: one bad measurement is none.
const ASTRAY_PATIENCE: Nanos = Nanos::from_secs(3);

/// How long something that happened at one moment is shown as an alarm.
const SHOWN: Nanos = Nanos::from_secs(600);

/// TAI − UTC has not been less since it is whole seconds (1972): a smaller one was set by nobody who knew.
const LEAST_TAI_OFFSET: i32 = 10;

/// What a person may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The system clock may be this far from the grandmaster's time and still counts as locked.
    pub offset: Nanos,
    /// For so long after the last lock the clock counts as free-running after PTP.
    pub holdover: Nanos,
    /// TAI − UTC in seconds, for a machine that nobody else tells it.
    pub tai_offset: Option<i32>,
}

/// What everybody told, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// When.
    pub at: Timestamp<Mono>,
    /// The same on the clock of the day, for people.
    pub utc: Timestamp<Utc>,
    /// Each ptp4l that is asked.
    pub servers: &'a [ServerTold],
    /// TAI − UTC in seconds, as the kernel was told; none while nobody has.
    pub kernel_tai_offset: Option<i32>,
    /// The system clock is synchronised, by NTP or the like; none if nobody tells.
    pub synchronised: Option<bool>,
    /// The clocks that sources' session descriptions name, by source.
    pub references: &'a [(String, RefClock)],
}

/// Where a TAI offset came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaiSource {
    /// The grandmaster announces it, and says that it is valid.
    Ptp,
    /// The kernel was told (by chrony, ptp4l or adjtimex).
    Kernel,
    /// The grandmaster announced it before it was gone.
    Held,
    /// A person said so.
    Configured,
}

/// What is held of the clock now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How well TAI is known.
    pub quality: ClockQuality,
    /// TAI − UTC in seconds, and who says so.
    pub tai_offset: Option<(i32, TaiSource)>,
    /// The ptp4l that the clock is judged by, by its place in the round.
    pub chosen: Option<usize>,
    /// How each server stands, in the order of the round.
    pub follows: Vec<Follow>,
    /// System clock − grandmaster's time, as TAI.
    pub system_offset: Option<Nanos>,
    /// For how long the clock has run without the lock that it had.
    pub unlocked_for: Option<Nanos>,
}

/// Judges one round after the other.
#[derive(Debug)]
pub struct Judge {
    limits: Limits,
    servers: BTreeMap<String, Server>,
    book: Book,
    last_lock: Option<Timestamp<Mono>>,
    /// Since when the chosen clock has been astray.
    astray: Option<Timestamp<Mono>>,
    held_tai: Option<i32>,
}

impl Judge {
    /// A judge who knows nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            servers: BTreeMap::new(),
            book: Book::default(),
            last_lock: None,
            astray: None,
            held_tai: None,
        }
    }

    /// The alarms that stand, and those that ended lately, newest first.
    pub fn alarms(&self) -> &[Alarm] {
        self.book.alarms()
    }

    /// Hears a round. Returns what is held now, and which alarms began or ended.
    pub fn hear(&mut self, round: &Round<'_>) -> (Verdict, Vec<Change>) {
        self.servers.retain(|name, _| round.servers.iter().any(|told| told.name == *name));
        for told in round.servers {
            self.servers.entry(told.name.clone()).or_default().hear(told, round.at);
        }
        let kernel = round.kernel_tai_offset.filter(|&offset| offset >= LEAST_TAI_OFFSET);
        let chosen = self.choose(round, kernel);
        let standing = chosen.and_then(|at| self.server(round, at));
        let announced = standing.and_then(Server::tai_offset).filter(|&offset| offset >= LEAST_TAI_OFFSET);
        let tai_offset = match (announced, kernel) {
            (Some(ptp), kernel) => Some(believed(standing, ptp, kernel)),
            (None, Some(kernel)) => Some((kernel, TaiSource::Kernel)),
            (None, None) => {
                let held = self.held_tai.map(|held| (held, TaiSource::Held));
                held.or_else(|| Some((self.limits.tai_offset?, TaiSource::Configured)))
            }
        };
        let system_offset = standing.zip(tai_offset).and_then(|(server, (tai, _))| server.system_offset(tai));
        let stepped = standing.is_some_and(Server::just_stepped);
        if let Some((offset, TaiSource::Ptp)) = tai_offset {
            self.held_tai = Some(offset);
        }
        let locked = self.locked(stepped, system_offset, round.at);
        if locked {
            self.last_lock = Some(round.at);
        }
        let unlocked_for = self.last_lock.map(|last| round.at - last).filter(|_| !locked);
        let quality = match unlocked_for {
            _ if locked => ClockQuality::PtpLocked,
            Some(since) if since <= self.limits.holdover => ClockQuality::PtpFreeRunning,
            _ if round.synchronised == Some(true) => ClockQuality::Ntp,
            _ => ClockQuality::None,
        };
        let follows = (0..round.servers.len())
            .map(|at| self.server(round, at).map_or(Follow::Absent, |server| server.follow))
            .collect();
        let verdict = Verdict { quality, tai_offset, chosen, follows, system_offset, unlocked_for };
        let wanted = self.wanted(round, &verdict, announced, kernel);
        let changes = self.book.update(round.utc, wanted);
        (verdict, changes)
    }

    fn server(&self, round: &Round<'_>, at: usize) -> Option<&Server> {
        self.servers.get(&round.servers[at].name)
    }

    /// The server that the clock is judged by: one that the system clock agrees with, before one that merely follows. In the
    /// order of the round among equals.
    fn choose(&self, round: &Round<'_>, kernel: Option<i32>) -> Option<usize> {
        let agrees = |server: &Server| {
            let tai = server.tai_offset().or(kernel).or(self.held_tai).or(self.limits.tai_offset);
            let offset = tai.and_then(|tai| server.system_offset(tai));
            offset.is_some_and(|offset| offset.abs() <= self.limits.offset)
        };
        let following = (0..round.servers.len())
            .filter_map(|at| Some((at, self.server(round, at)?)))
            .filter(|(_, server)| server.follow == Follow::Following);
        following.min_by_key(|&(_, server)| !agrees(server)).map(|(at, _)| at)
    }

    fn locked(&mut self, stepped: bool, offset: Option<Nanos>, now: Timestamp<Mono>) -> bool {
        let Some(offset) = offset else {
            self.astray = None;
            return false;
        };
        if offset.abs() <= self.limits.offset {
            self.astray = None;
            return true;
        }
        let since = *self.astray.get_or_insert(now);
        let was_locked = self.last_lock.is_some_and(|last| now - last <= ASTRAY_PATIENCE);
        was_locked && !stepped && now - since < ASTRAY_PATIENCE
    }

    /// The alarms that should stand.
    fn wanted(
        &self,
        round: &Round<'_>,
        verdict: &Verdict,
        announced: Option<i32>,
        kernel: Option<i32>,
    ) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (name, server) in &self.servers {
            server.alarms(name, round.at, &mut wanted);
        }
        let mut raise = |kind, subject: &str, text| {
            wanted.push(Wanted { kind, subject: subject.to_owned(), text, moment: None });
        };
        match (kernel, announced) {
            // A person has told it, and knows that it changes.
            (None, None) if self.limits.tai_offset.is_some() => {}
            (None, None) => raise(
                AlarmKind::TaiUnset,
                "",
                "nobody has told the kernel the offset of TAI from UTC (it says 0), and PTP does not either: positions count in \
                 UTC; let chrony set it (leapsectz or leapseclist), or follow a PTP grandmaster that announces it"
                    .to_owned(),
            ),
            (None, Some(ptp)) => raise(
                AlarmKind::TaiUnset,
                "",
                format!(
                    "nobody has told the kernel the offset of TAI from UTC (it says 0); the {ptp} s that PTP announces are used; \
                     let chrony set it (leapsectz or leapseclist)"
                ),
            ),
            (Some(kernel), Some(ptp)) if kernel != ptp => raise(
                AlarmKind::TaiDiffers,
                "",
                format!(
                    "PTP announces that TAI is {ptp} s ahead of UTC, the kernel says {kernel} s; {} s are used; correct the one that \
                     is wrong",
                    verdict.tai_offset.map_or(ptp, |(used, _)| used)
                ),
            ),
            _ => {}
        }
        if let Some(offset) = verdict.system_offset
            && offset.abs() > self.limits.offset
            && self.astray.is_some_and(|since| round.at - since >= ASTRAY_PATIENCE)
        {
            raise(
                AlarmKind::OffsetLarge,
                "",
                format!(
                    "the system clock is {:.6} s {} the grandmaster's time, and {:.6} s are allowed; see that chrony or phc2sys leads \
                     it there",
                    offset.abs().as_secs_f64(),
                    if offset.0 < 0 { "behind" } else { "ahead of" },
                    self.limits.offset.as_secs_f64()
                ),
            );
        }
        let followed: Vec<_> = self
            .servers
            .values()
            .filter_map(|server| Some((server.following()?, server.domain()?)))
            .collect();
        for (source, reference) in round.references {
            let ours = |&(grandmaster, domain): &_| {
                grandmaster == reference.grandmaster && reference.domain.is_none_or(|named| named == domain)
            };
            if let (Some((grandmaster, domain)), false) = (followed.first(), followed.iter().any(ours)) {
                let named =
                    reference.domain.map_or_else(String::new, |domain| format!(" in domain {domain}"));
                raise(
                    AlarmKind::GrandmasterDiffers,
                    source,
                    format!(
                        "source `{source}` follows grandmaster {}{named}, this machine {grandmaster} in domain {domain}: the two \
                         clocks may drift apart; bring both to one grandmaster",
                        reference.grandmaster
                    ),
                );
            }
        }
        wanted
    }
}

/// Which of two TAI offsets to use: where they differ, the one by which the system clock agrees better with the grandmaster, whose
/// time has no offset in it.
fn believed(server: Option<&Server>, ptp: i32, kernel: Option<i32>) -> (i32, TaiSource) {
    let by_ptp = (ptp, TaiSource::Ptp);
    let Some(kernel) = kernel.filter(|&kernel| kernel != ptp) else { return by_ptp };
    let far = |tai| server.and_then(|server| server.system_offset(tai)).map(Nanos::abs);
    match (far(kernel), far(ptp)) {
        (Some(by_kernel), Some(far)) if by_kernel < far => (kernel, TaiSource::Kernel),
        _ => by_ptp,
    }
}
