//! How a recording begins: its feeds to both volumes, and what their disk writers are to know of it.
//!
//! Owns: how many feeds of a recorder may wait for a mirror that hangs. Never: waits.
//!
//! A feed's rings hold ten seconds, and live until the disk writer has let go of them. The archive's disk writer is waited for by whoever
//! ends a recording; the mirror's is not, so recordings that are ended and begun while it hangs would take memory without end. Where two
//! wait for it, the next one is in the archive alone, until one of them is done.

use std::sync::Arc;

use audyn_core::channels::ChannelMap;
use audyn_units::{FrameCount, SampleRate};

use super::{Engine, RecorderEntry, RecorderSpec, given_names, mirror};
use crate::facts::About;
use crate::feed::{self, Cutting, Feed, FeedEnd};
use crate::formats::{depth_of, formats_of};
use crate::naming::Naming;
use crate::recording::{Recording, RecordingPlan};
use crate::resume::Timeline;
use crate::worker::Order;

/// Feeds of one recorder that may wait for the mirror's disk, the running one's among them.
const MOST_MIRRORED: usize = 2;

/// What a recording is made of, for each volume anew.
struct Making {
    flow: u32,
    rate: SampleRate,
    width: usize,
    cutting: Option<Cutting>,
    limit: Option<FrameCount>,
    timeline: Timeline,
    plan: RecordingPlan,
}

impl Making {
    fn connect(&self) -> (Feed, FeedEnd) {
        feed::connect(self.rate, self.width, self.cutting.clone(), self.limit)
    }
}

impl Engine {
    /// Begins the recording that a recorder is wanted to make, once there is a flow to tap.
    pub(super) fn feed(&mut self, at: usize) {
        let entry = &self.recorders[at];
        if !entry.wanted || entry.feeding {
            return;
        }
        let making = match self.making(entry) {
            None => return,
            Some(Ok(making)) => making,
            Some(Err(error)) => {
                self.recorders[at].error = Some(error);
                return;
            }
        };
        let (mut feed, end) = making.connect();
        // Only what begins with the engine goes on where the one before ended.
        if let Some(floor) = self.held.as_ref().and_then(|_| self.resume.end_of(&making.timeline)) {
            tracing::info!(
                recorder = self.recorders[at].spec.id,
                position = floor.0,
                "the engine before has recorded up to here"
            );
            feed.begin_at(floor);
        }
        let mirror = self.mirrored(at, &making);
        let entry = &self.recorders[at];
        let recorder = entry.spec.id.clone();
        let Making { flow, timeline, plan, .. } = making;
        let recording =
            Recording::new(plan, end, Arc::clone(&entry.recording)).on(self.chains.ours().clone());
        self.disk.add(recording.noted_by(self.resume.leaving(timeline)));
        self.order(flow, Order::Record { flow, recorder, feed: Box::new(feed), mirror });
        self.recorders[at].feeding = true;
    }

    /// Has a running recording that began in the archive alone go to the mirror from now on, if that takes it again.
    pub(super) fn mirror_again(&mut self, at: usize) {
        let entry = &self.recorders[at];
        // How much is left of a limit, the archive's feed alone knows.
        if !(entry.wanted && entry.feeding && entry.unmirrored && entry.limit.is_none()) {
            return;
        }
        let Some(Ok(making)) = self.making(entry) else { return };
        if let Some(feed) = self.mirrored(at, &making) {
            let (flow, recorder) = (making.flow, self.recorders[at].spec.id.clone());
            self.order(flow, Order::Mirror { flow, recorder, feed });
        }
    }

    /// Begins a recording on the mirror, if there is one and it has let go of those before.
    fn mirrored(&mut self, at: usize, making: &Making) -> Option<Box<Feed>> {
        let (mirror, entry) = (self.mirror.as_ref()?, &mut self.recorders[at]);
        let naming = mirror.naming(&making.plan.naming)?;
        entry.mirrors.retain(|feed| feed.strong_count() > 0);
        let waits = entry.mirrors.len() >= MOST_MIRRORED;
        if waits && !entry.unmirrored {
            tracing::warn!(recorder = entry.spec.id, "{ALONE}");
        }
        entry.unmirrored = waits;
        if waits {
            return None;
        }
        let (feed, end) = making.connect();
        entry.mirrors.push(feed.life());
        let floor = self.held.as_ref().and_then(|_| mirror.end_of(&making.timeline));
        let plan = RecordingPlan { naming, ..making.plan.clone() };
        mirror.record(plan, end, Arc::clone(&entry.mirrored), making.timeline.clone());
        Some(Box::new(mirror::floored(feed, floor)))
    }

    /// What a recorder's recording is made of. None if there is no flow for it; the error is a sentence.
    fn making(&self, entry: &RecorderEntry) -> Option<Result<Making, String>> {
        let flow = entry.tapped?;
        let source = &self.flows.iter().find(|entry| entry.id == flow)?.source;
        let map = ChannelMap::new(source.channels, &entry.spec.channels).ok()?;
        let RecorderSpec { formats, opus, naming, .. } = &entry.spec;
        let formats = match formats_of(formats, opus, source.rate, map.output(), source.encoding) {
            Ok(formats) => formats,
            Err(error) => return Some(Err(error.to_string())),
        };
        let cutting = match naming {
            Naming::File(_) => None,
            Naming::Archive { policy, zone, .. } => {
                Some(Cutting { policy: policy.clone(), zone: zone.clone() })
            }
        };
        let plan = RecordingPlan {
            about: About {
                recorder: entry.spec.id.clone(),
                name: entry.spec.name.clone(),
                channel_names: given_names(source, &entry.spec.channels),
            },
            naming: naming.clone(),
            formats,
            source_depth: depth_of(source.encoding),
        };
        Some(Ok(Making {
            flow,
            rate: source.rate,
            width: map.output().get(),
            cutting,
            limit: entry.limit,
            timeline: Timeline::new(&entry.spec, source),
            plan,
        }))
    }
}

/// What is said of a recording that the mirror has no memory for.
pub(super) const ALONE: &str = "the mirror's disk still holds earlier recordings of this recorder, so this one is in the archive alone until \
                                it has let go of them: check the disk and its cable";
