//! One ptp4l as the judge knows it: what it told last, and what that meant before.

use audyn_units::{Mono, Nanos, Timestamp};
use audyn_wire::ptp::{Announced, ClockIdentity, PortState, Stamping, TimePropertiesDataSet};

use super::SHOWN;
use super::alarm::{AlarmKind, Wanted};

/// An answer holds for so long; ptp4l is asked each second.
const ANSWER_HOLDS: Nanos = Nanos::from_millis(3_500);

/// Syncs come at least every two seconds (AES67-2018 Annex A: eight a second to one in two).
const SYNC_PATIENCE: Nanos = Nanos::from_secs(6);

/// A sync of this age, right at the first question, says that they come.
const FRESH: Nanos = Nanos::from_secs(3);

/// A clock that is led changes its pace by less than 500 ppm; what is more than this besides is a step.
const STEP: Nanos = Nanos::from_millis(1);

/// A port of a ptp4l.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortTold {
    /// Its number, from 1.
    pub number: u16,
    /// What it does.
    pub state: PortState,
    /// The kind of its time stamps, if told.
    pub stamping: Option<Stamping>,
    /// Its network interface, if told.
    pub interface: String,
}

/// What one ptp4l told in one round of questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PtpTold {
    /// Its own identity.
    pub clock: ClockIdentity,
    /// Its domain.
    pub domain: u8,
    /// Its ports.
    pub ports: Vec<PortTold>,
    /// The grandmaster that it names: also one that is gone.
    pub grandmaster: Announced,
    /// Hops to it.
    pub steps_removed: u16,
    /// Its clock − the grandmaster's, as last measured.
    pub offset: Nanos,
    /// The way there, in time.
    pub path_delay: Nanos,
    /// When the last sync came, on its clock.
    pub ingress: i64,
    /// The grandmaster's time scale.
    pub time: TimePropertiesDataSet,
}

impl PtpTold {
    /// Whether it has measured the way to its grandmaster, and so its clock: until the first answer to a delay request both are 0.
    fn is_measured(&self) -> bool {
        (self.offset, self.path_delay) != (Nanos::ZERO, Nanos::ZERO)
    }

    /// The port that follows or would follow a grandmaster: the one whose state is nearest to it.
    pub fn port(&self) -> Option<&PortTold> {
        let rank = |port: &&PortTold| match port.state {
            PortState::Slave => 0,
            PortState::Uncalibrated => 1,
            PortState::Listening => 2,
            _ => 3,
        };
        self.ports.iter().min_by_key(rank)
    }
}

/// What a hardware clock told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhcTold {
    /// It was read.
    Read {
        /// It − the system clock (UTC).
        minus_utc: Nanos,
        /// It − the monotonic clock.
        minus_mono: Nanos,
    },
    /// It can't be read, and why.
    Unreadable(String),
}

/// One ptp4l in a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTold {
    /// Its name for people: the network port, say. The same each time.
    pub name: String,
    /// What it told; none if it did not answer.
    pub told: Option<PtpTold>,
    /// The hardware clock that it leads; none if there is none.
    pub phc: Option<PhcTold>,
    /// How long ago the last sync came, by the clock that it was stamped by; none if that one wasn't read.
    pub sync_age: Option<Nanos>,
}

/// How a ptp4l stands to its grandmaster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Follow {
    /// It does not answer.
    #[default]
    Absent,
    /// It has none.
    NoGrandmaster,
    /// It has chosen one, and its clock is not there yet.
    Settling,
    /// It has one whose syncs do not come.
    SyncStopped,
    /// It follows, and syncs come.
    Following,
}

/// What is remembered of a ptp4l.
#[derive(Debug, Default)]
pub(super) struct Server {
    last: Option<(Timestamp<Mono>, PtpTold)>,
    pub(super) follow: Follow,
    /// The last ingress time, when it was first seen, and whether another was seen before it.
    ingress: Option<(i64, Timestamp<Mono>, bool)>,
    /// The grandmaster that was followed last.
    followed: Option<ClockIdentity>,
    /// It was followed and is not, since it went.
    lost: bool,
    /// Who took over from whom, and when.
    changed: Option<(ClockIdentity, ClockIdentity, Timestamp<Mono>)>,
    phc: Option<PhcTold>,
    /// PHC − monotonic, as last read.
    phc_before: Option<(Nanos, Timestamp<Mono>)>,
    stepped: Option<(Nanos, Timestamp<Mono>)>,
    just_stepped: bool,
}

impl Server {
    pub(super) fn hear(&mut self, server: &ServerTold, now: Timestamp<Mono>) {
        self.hear_phc(server.phc.as_ref(), now);
        if let Some(told) = &server.told {
            // One sync may be of any time, unless its age is known; another after it says that they come.
            if self.ingress.is_none_or(|(ingress, ..)| ingress != told.ingress) {
                let another = self.ingress.is_some_and(|(ingress, ..)| ingress != 0);
                let fresh = server.sync_age.is_some_and(|age| (Nanos::ZERO..FRESH).contains(&age));
                self.ingress = Some((told.ingress, now, told.ingress != 0 && (another || fresh)));
            }
            self.last = Some((now, told.clone()));
        }
        self.follow = self.stands(now);
        let grandmaster = self.told().map(|told| told.grandmaster.clock);
        match (self.follow, grandmaster) {
            (Follow::Following, Some(grandmaster)) => {
                if let Some(before) = self.followed.replace(grandmaster)
                    && before != grandmaster
                {
                    self.changed = Some((before, grandmaster, now));
                }
                self.lost = false;
            }
            (Follow::NoGrandmaster | Follow::Absent | Follow::SyncStopped, _) => {
                self.lost = self.followed.is_some();
            }
            // Settling: on the way to one; whether the old one is gone shows when it is there.
            _ => {}
        }
    }

    fn told(&self) -> Option<&PtpTold> {
        self.last.as_ref().map(|(_, told)| told)
    }

    fn stands(&self, now: Timestamp<Mono>) -> Follow {
        let Some((at, told)) = &self.last else { return Follow::Absent };
        if now - *at > ANSWER_HOLDS {
            return Follow::Absent;
        }
        let Some(port) = told.port() else { return Follow::NoGrandmaster };
        if told.grandmaster.clock == told.clock {
            return Follow::NoGrandmaster;
        }
        match (port.state, port.stamping) {
            (PortState::Slave, _) => {}
            // ptp4l does not lead the system clock (chrony does, or nobody), so its port never says SLAVE.
            (PortState::Uncalibrated, Some(Stamping::Software)) if told.is_measured() => {}
            (PortState::Uncalibrated, _) => return Follow::Settling,
            _ => return Follow::NoGrandmaster,
        }
        match self.ingress {
            // It forgets the time when it loses a grandmaster, and has none before the first sync.
            Some((0, ..)) | None => Follow::Settling,
            Some((_, since, _)) if now - since > SYNC_PATIENCE => Follow::SyncStopped,
            Some((.., moves)) => {
                if moves {
                    Follow::Following
                } else {
                    Follow::Settling
                }
            }
        }
    }

    fn hear_phc(&mut self, phc: Option<&PhcTold>, now: Timestamp<Mono>) {
        self.just_stepped = false;
        self.phc = phc.cloned();
        if let Some(&PhcTold::Read { minus_mono, .. }) = phc {
            if let Some((before, at)) = self.phc_before {
                let moved = minus_mono - before;
                let allowed = STEP + Nanos((now - at).0 / 2_000);
                if moved.abs() > allowed {
                    self.stepped = Some((moved, now));
                    self.just_stepped = true;
                }
            }
            self.phc_before = Some((minus_mono, now));
        }
    }

    /// The hardware clock was set since the round before.
    pub(super) fn just_stepped(&self) -> bool {
        self.just_stepped
    }

    /// The grandmaster that is followed now.
    pub(super) fn following(&self) -> Option<ClockIdentity> {
        self.followed.filter(|_| self.follow == Follow::Following)
    }

    pub(super) fn domain(&self) -> Option<u8> {
        self.told().map(|told| told.domain)
    }

    /// The time that is followed, if it is TAI.
    fn tai(&self) -> Option<&PtpTold> {
        self.told().filter(|told| self.follow == Follow::Following && told.time.ptp_timescale)
    }

    /// TAI − UTC as the grandmaster that is followed announces it, if it says that this is valid.
    pub(super) fn tai_offset(&self) -> Option<i32> {
        self.tai().filter(|told| told.time.utc_valid).map(|told| i32::from(told.time.utc_offset))
    }

    /// System clock − grandmaster's time, if TAI − UTC is `tai` seconds. None where it is not measured.
    pub(super) fn system_offset(&self, tai: i32) -> Option<Nanos> {
        let told = self.tai()?;
        match told.port()?.stamping? {
            Stamping::Hardware => match self.phc.as_ref()? {
                // What the card's clock is off by (nanoseconds, while it follows) is among what ptp4l tells.
                PhcTold::Read { minus_utc, .. } => {
                    Some(Nanos::from_secs(i64::from(tai)) - *minus_utc + told.offset)
                }
                PhcTold::Unreadable(_) => None,
            },
            // ptp4l has added the announced offset already.
            Stamping::Software => {
                let more = i64::from(tai) - i64::from(told.time.utc_offset);
                Some(told.offset + Nanos::from_secs(more))
            }
        }
    }

    pub(super) fn alarms(&self, name: &str, now: Timestamp<Mono>, wanted: &mut Vec<Wanted>) {
        let mut raise_at =
            |moment, kind, text| wanted.push(Wanted { kind, subject: name.to_owned(), text, moment });
        if let Some((before, after, at)) = self.changed
            && now - at < SHOWN
        {
            raise_at(
                Some(at),
                AlarmKind::GrandmasterChanged,
                format!("on {name} grandmaster {after} has taken over from {before}; find out why"),
            );
        }
        if let Some((by, at)) = self.stepped
            && now - at < SHOWN
        {
            raise_at(
                Some(at),
                AlarmKind::PhcStepped,
                format!(
                    "the hardware clock of {name} was set by {:+.6} s; flows went on by their own clocks",
                    by.as_secs_f64()
                ),
            );
        }
        let mut raise = |kind, text| raise_at(None, kind, text);
        if self.last.is_some() && self.follow == Follow::Absent {
            raise(
                AlarmKind::PtpSilent,
                format!("ptp4l on {name} does not answer any more; see why it ended (journalctl)"),
            );
        }
        if let (true, Some(gone)) = (self.lost, self.followed) {
            match self.follow {
                Follow::SyncStopped => raise(
                    AlarmKind::SyncStopped,
                    format!(
                        "grandmaster {gone} is announced on {name}, but its syncs do not come; check switches and the \
                         grandmaster"
                    ),
                ),
                _ => raise(
                    AlarmKind::GrandmasterGone,
                    format!("grandmaster {gone} is gone from {name}; check it and the way to it"),
                ),
            }
        }
        if self.follow == Follow::Following
            && let Some(told) = self.told()
            && !told.time.ptp_timescale
        {
            raise(
                AlarmKind::TimescaleArbitrary,
                format!(
                    "grandmaster {} on {name} tells a time that began anywhere, so no frame can be placed by it; set it to PTP's \
                     time scale",
                    told.grandmaster.clock
                ),
            );
        }
        if let Some(PhcTold::Unreadable(why)) = &self.phc {
            raise(AlarmKind::PhcGone, format!("the hardware clock of {name} is not there: {why}"));
        }
    }
}
