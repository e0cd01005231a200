//! `/api/flows`: what a network engineer asks of each flow that is received. Times are nanoseconds, as their names say.

use audyn_api::{
    FlowSnapshot, FlowState, INTERVAL_EDGES_NANOS, LegCounters, LegPeriod, LegSnapshot, LegState,
    LegStatistics,
};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use crate::app::{App, both};
use crate::error::Error;
use crate::extract::{UrlPath, json};

pub(crate) fn add_routes(routes: Router<App>) -> Router<App> {
    let routes = both(routes, "/api/flows", get(list));
    both(routes, "/api/flows/{id}", get(one))
}

/// A flow, by its source's identifier or, without one, by its address.
#[derive(Serialize)]
struct Flow<'a> {
    id: &'a str,
    address: &'a str,
    state: FlowState,
    packet_frames: Option<u16>,
    /// Why no audio comes, if none does.
    diagnosis: Option<&'a str>,
    legs: Vec<Leg<'a>>,
}

#[derive(Serialize)]
struct Leg<'a> {
    /// Where it is received; the next five are null for a moment while the flow is opened.
    address: Option<&'a str>,
    /// `waiting`, `receiving`, `silent`, `differs` or `failed`
    state: Option<LegState>,
    /// What is wrong with it, in a sentence.
    error: Option<&'a str>,
    /// How far its last packet came after the other leg's copy; 0 on the leg that leads.
    behind_nanos: Option<u64>,
    /// What the merging of the legs made of its packets.
    counters: Option<LegCounters>,
    /// Eight hexadecimal digits, as other tools write it.
    ssrc: Option<String>,
    sender: Option<String>,
    dscps: &'a [u8],
    ttl_min: Option<u8>,
    ttl_max: Option<u8>,
    expected: u64,
    rfc3550_lost: i64,
    restarts: u64,
    timestamp_jumps: u64,
    strays: u64,
    foreign: u64,
    jitter_nanos: i64,
    jitter_ticks: u64,
    ts_df_nanos: Option<i64>,
    link_offset_nanos: Option<i64>,
    since_start: Period<'a>,
    last_minute: Period<'a>,
}

#[derive(Serialize)]
struct Period<'a> {
    #[serde(flatten)]
    figures: &'a LegPeriod,
    /// Upper edges of `intervals`, which has one more.
    interval_edges_nanos: &'static [u64],
}

/// What a flow is called in addresses and labels.
pub(crate) fn id_of(flow: &FlowSnapshot) -> &str {
    flow.source.as_ref().map_or(&flow.address, |source| source.as_str())
}

impl<'a> From<&'a FlowSnapshot> for Flow<'a> {
    fn from(flow: &'a FlowSnapshot) -> Self {
        Self {
            id: id_of(flow),
            address: &flow.address,
            state: flow.state,
            packet_frames: flow.packet_frames,
            diagnosis: flow.diagnosis.as_ref().map(|diagnosis| diagnosis.sentence.as_str()),
            legs: flow
                .statistics
                .iter()
                .enumerate()
                .map(|(n, leg)| Leg::new(flow.legs.get(n), leg))
                .collect(),
        }
    }
}

impl<'a> Leg<'a> {
    fn new(place: Option<&'a LegSnapshot>, leg: &'a LegStatistics) -> Self {
        let period = |figures| Period { figures, interval_edges_nanos: &INTERVAL_EDGES_NANOS };
        Self {
            address: place.map(|place| place.address.as_str()),
            state: place.map(|place| place.state),
            error: place.and_then(|place| place.error.as_deref()),
            behind_nanos: place.map(|place| place.behind_nanos),
            counters: place.map(|place| place.counters),
            ssrc: leg.ssrc.map(|ssrc| ssrc.to_string()),
            sender: leg.sender.map(|sender| sender.to_string()),
            dscps: &leg.dscps,
            ttl_min: leg.ttl_min,
            ttl_max: leg.ttl_max,
            expected: leg.expected,
            rfc3550_lost: leg.rfc3550_lost,
            restarts: leg.restarts,
            timestamp_jumps: leg.timestamp_jumps,
            strays: leg.strays,
            foreign: leg.foreign,
            jitter_nanos: leg.jitter_nanos,
            jitter_ticks: leg.jitter_ticks,
            ts_df_nanos: leg.ts_df_nanos,
            link_offset_nanos: leg.link_offset_nanos,
            since_start: period(&leg.since_start),
            last_minute: period(&leg.last_minute),
        }
    }
}

async fn list(State(app): State<App>) -> Result<Response, Error> {
    let view = app.engine.view()?;
    Ok(json(view.snapshot.flows.iter().map(Flow::from).collect::<Vec<_>>()))
}

async fn one(State(app): State<App>, UrlPath(id): UrlPath) -> Result<Response, Error> {
    let view = app.engine.view()?;
    let flow = view.snapshot.flows.iter().find(|flow| id_of(flow) == id || flow.address == id);
    let flow = flow.ok_or_else(|| Error::NotFound(format!("no flow `{id}` is received")))?;
    Ok(json(Flow::from(flow)))
}
