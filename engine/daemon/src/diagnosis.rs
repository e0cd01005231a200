//! Why a flow is silent, asked in order: link, address, join, packets, match with the source, clock, level.
//!
//! Owns: the order, and the sentences. Never: looks anywhere by itself; what is known is handed in.

use std::collections::VecDeque;
use std::net::SocketAddr;

use audyn_api::{Diagnosis, SilenceCause, SourceConfig};
use audyn_core::flow::FlowCounters;
use audyn_sys::SysError;
use audyn_units::{Counted, Nanos};

use crate::error::EngineError;

/// What counts as now: counters are compared with those of this long ago.
const RECENT: usize = 10;

/// Digital silence for this long is told. A player that pauses, or a fader that is down on an analogue source, has noise.
const QUIET: Nanos = Nanos::from_secs(10);

/// Jumps of the timestamps within the last ten seconds from which on the sender's clock is no clock.
const JUMPS: u64 = 3;

/// A cause that was found beside the packets, with its sentence.
pub(crate) type Trouble = (SilenceCause, String);

/// Counters of a flow as they stood, once a second.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<FlowCounters>);

impl Recent {
    /// Takes note of the counters; about once a second.
    pub(crate) fn note(&mut self, counters: FlowCounters) {
        self.0.truncate(RECENT - 1);
        self.0.push_front(counters);
    }

    /// What was counted since the oldest that is known.
    fn since(&self, now: &FlowCounters) -> FlowCounters {
        let before = self.0.back().copied().unwrap_or_default();
        FlowCounters {
            received: now.received.saturating_sub(before.received),
            late: now.late.saturating_sub(before.late),
            timestamp_jumps: now.timestamp_jumps.saturating_sub(before.timestamp_jumps),
            too_short: now.too_short.saturating_sub(before.too_short),
            bad_version: now.bad_version.saturating_sub(before.bad_version),
            malformed: now.malformed.saturating_sub(before.malformed),
            wrong_payload_type: now.wrong_payload_type.saturating_sub(before.wrong_payload_type),
            wrong_size: now.wrong_size.saturating_sub(before.wrong_size),
            oversized: now.oversized.saturating_sub(before.oversized),
            foreign_source: now.foreign_source.saturating_sub(before.foreign_source),
            ..FlowCounters::default()
        }
    }
}

/// What is known of a flow.
pub(crate) struct Facts<'a> {
    pub(crate) source: &'a SourceConfig,
    /// Why its socket could not be opened.
    pub(crate) failure: Option<&'a Trouble>,
    /// What is wrong with its place on the network.
    pub(crate) trouble: Option<&'a Trouble>,
    pub(crate) receiving: bool,
    /// Its source was found once.
    pub(crate) known: bool,
    pub(crate) counters: &'a FlowCounters,
    pub(crate) recent: &'a Recent,
    /// For how long each sample has been zero.
    pub(crate) quiet: Nanos,
}

impl Facts<'_> {
    /// The first thing that is not well; none if audio comes.
    pub(crate) fn diagnose(&self) -> Option<Diagnosis> {
        let told = |(cause, sentence): (SilenceCause, String)| Some(Diagnosis { cause, sentence });
        if self.receiving {
            return self.clock().or_else(|| self.level()).and_then(told);
        }
        let network = self.trouble.into_iter().chain(self.failure).min_by_key(|(cause, _)| *cause);
        if let Some(found) = network {
            return told(found.clone());
        }
        told(self.mismatch().or_else(|| self.clock()).unwrap_or_else(|| self.nothing()))
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.source.address, self.source.port)
    }

    fn nothing(&self) -> Trouble {
        let address = self.address();
        let sentence = if self.known {
            format!("nothing comes from {address} any more; check the sender and the network")
        } else if let Some(filter) = self.source.source_filter {
            format!(
                "nothing has come to {address} from {filter} yet; check that the sender is on, that this is its address, and \
                 that the interface is the right one"
            )
        } else {
            format!(
                "nothing has come to {address} yet; check that the sender is on and that the interface is the right one"
            )
        };
        (SilenceCause::Packets, sentence)
    }

    fn mismatch(&self) -> Option<Trouble> {
        let c = self.recent.since(self.counters);
        let SourceConfig { payload_type, channels, encoding, .. } = self.source;
        let (address, payload_type) = (self.address(), payload_type.get());
        let sentence = if c.wrong_payload_type > 0 {
            format!(
                "packets come to {address}, but none with payload type {payload_type}; set the payload type that the sender \
                 uses"
            )
        } else if c.wrong_size > 0 {
            format!(
                "packets come to {address}, but they do not hold whole frames of {} {encoding}; check \
                 channels and encoding",
                channels.counted()
            )
        } else if c.foreign_source > 0 {
            format!(
                "packets come to {address}, but their timestamps do not go on by their length in frames of {} \
                 {encoding}; check channels and encoding",
                channels.counted()
            )
        } else if c.too_short + c.bad_version + c.malformed + c.oversized > 0 {
            format!("packets come to {address}, but they are not RTP; check address and port")
        } else {
            return None;
        };
        Some((SilenceCause::Match, sentence))
    }

    fn clock(&self) -> Option<Trouble> {
        let c = self.recent.since(self.counters);
        let rate = self.source.rate.hz();
        let address = self.address();
        let sentence = if c.timestamp_jumps >= JUMPS {
            format!(
                "the timestamps of {address} jump again and again ({} of late), so its audio has holes or is placed by arrival; \
                 check that the sender runs at {rate} Hz and keeps its clock",
                Counted(c.timestamp_jumps, "time")
            )
        } else if c.received > 0 && c.late * 2 > c.received {
            format!(
                "packets of {address} come too late for their timestamps; check the sender's clock, and the path between"
            )
        } else {
            return None;
        };
        Some((SilenceCause::Clock, sentence))
    }

    fn level(&self) -> Option<Trouble> {
        (self.quiet >= QUIET).then(|| {
            let sentence = format!(
                "packets come from {}, but each sample has been zero for {} s; check what is routed to the sender's output",
                self.address(),
                self.quiet.0 / 1_000_000_000
            );
            (SilenceCause::Level, sentence)
        })
    }
}

/// Which cause a failure to open a socket is.
pub(crate) fn cause_of(error: &EngineError) -> SilenceCause {
    match error {
        EngineError::System(SysError::NoSuchInterface { .. } | SysError::Interfaces { .. }) => {
            SilenceCause::Link
        }
        EngineError::System(SysError::NoInterfaceAddress { .. } | SysError::NotLocal { .. }) => {
            SilenceCause::Address
        }
        _ => SilenceCause::Join,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SourceConfig {
        serde_json::from_value(serde_json::json!({
            "id": "a", "name": "a", "address": "239.69.1.2", "port": 5004, "payload_type": 98,
        }))
        .unwrap()
    }

    fn cause<'a>(change: impl FnOnce(&mut Facts<'a>)) -> Option<SilenceCause> {
        told(change).map(|found| found.cause)
    }

    fn told<'a>(change: impl FnOnce(&mut Facts<'a>)) -> Option<Diagnosis> {
        // Leaked, so that they live as long as what a test lends.
        let (source, recent): (&'a _, &'a _) = (Box::leak(Box::new(source())), Box::leak(Box::default()));
        let counters: &'a FlowCounters = Box::leak(Box::default());
        let mut facts = Facts {
            source,
            failure: None,
            trouble: None,
            receiving: false,
            known: false,
            counters,
            recent,
            quiet: Nanos(0),
        };
        change(&mut facts);
        let found = facts.diagnose();
        assert!(
            found.iter().all(|found| found.sentence.contains([';', ':'])),
            "what to do is missing: {found:?}"
        );
        found
    }

    #[test]
    fn a_flow_of_one_channel_has_one_channel() {
        let odd = FlowCounters { wrong_size: 5, ..FlowCounters::default() };
        let mono = SourceConfig { channels: audyn_units::ChannelCount::MONO, ..source() };
        let sentence = told(|facts| (facts.counters, facts.source) = (&odd, &mono)).unwrap().sentence;
        assert!(sentence.contains("whole frames of 1 channel L24;"), "{sentence}");
    }

    #[test]
    fn the_causes_are_asked_for_in_their_order() {
        let link = (SilenceCause::Link, "no link; plug it in".to_owned());
        let join = (SilenceCause::Join, "not joined; wait".to_owned());
        let odd = FlowCounters { wrong_payload_type: 5, ..FlowCounters::default() };
        let late = FlowCounters { received: 9, late: 9, ..FlowCounters::default() };
        let jumps = FlowCounters { received: 9, timestamp_jumps: 3, ..FlowCounters::default() };
        assert_eq!(cause(|_| {}), Some(SilenceCause::Packets));
        assert_eq!(cause(|facts| facts.counters = &odd), Some(SilenceCause::Match));
        assert_eq!(cause(|facts| facts.counters = &late), Some(SilenceCause::Clock));
        assert_eq!(
            cause(|facts| (facts.counters, facts.failure) = (&odd, Some(&join))),
            Some(SilenceCause::Join)
        );
        assert_eq!(
            cause(|facts| (facts.trouble, facts.failure) = (Some(&link), Some(&join))),
            Some(SilenceCause::Link)
        );
        // Where audio comes, the way that it takes is well, whatever its interface is called.
        assert_eq!(cause(|facts| (facts.receiving, facts.trouble) = (true, Some(&link))), None);
        assert_eq!(
            cause(|facts| (facts.receiving, facts.counters) = (true, &jumps)),
            Some(SilenceCause::Clock)
        );
        assert_eq!(cause(|facts| (facts.receiving, facts.quiet) = (true, QUIET)), Some(SilenceCause::Level));
        assert_eq!(cause(|facts| (facts.receiving, facts.quiet) = (true, QUIET - Nanos(1))), None);
    }

    #[test]
    fn what_was_wrong_long_ago_is_no_cause_today() {
        let mut recent = Recent::default();
        let odd = FlowCounters { wrong_payload_type: 5, ..FlowCounters::default() };
        recent.note(FlowCounters::default());
        let since = |recent: &Recent| recent.since(&odd).wrong_payload_type;
        assert_eq!(since(&recent), 5);
        for _ in 0..RECENT - 1 {
            recent.note(odd);
            assert_eq!(since(&recent), 5);
        }
        recent.note(odd);
        assert_eq!(since(&recent), 0);
    }

    #[test]
    fn a_refused_socket_has_its_cause() {
        let group = "239.69.1.2".parse().unwrap();
        for (error, cause) in [
            (SysError::NoSuchInterface { wanted: String::new(), known: String::new() }, SilenceCause::Link),
            (
                SysError::NoInterfaceAddress { interface: String::new(), family: "IPv4" },
                SilenceCause::Address,
            ),
            (SysError::TooManyMemberships { group }, SilenceCause::Join),
        ] {
            assert_eq!(cause_of(&error.into()), cause);
        }
    }
}
