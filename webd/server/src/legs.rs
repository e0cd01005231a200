//! The legs of a flow (ST 2022-7) as JSON, the same wherever a flow is told of: in `/api/recorders` and `/api/control/status`.

use audyn_api::{LegCounters, LegSnapshot, LegState};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Leg<'a> {
    /// Where it is received: `239.69.1.2:5004`.
    address: &'a str,
    interface: Option<&'a str>,
    /// `waiting`, `receiving`, `silent`, `differs` or `failed`
    state: LegState,
    /// Eight hexadecimal digits, as other tools write it.
    ssrc: Option<String>,
    sender: Option<String>,
    /// How far its last packet came after the other leg's copy; 0 on the leg that leads.
    behind_nanos: u64,
    receive_buffer_bytes: u64,
    /// What is wrong with it, in a sentence.
    error: Option<&'a str>,
    counters: LegCounters,
}

impl<'a> From<&'a LegSnapshot> for Leg<'a> {
    fn from(leg: &'a LegSnapshot) -> Self {
        Self {
            address: &leg.address,
            interface: leg.interface.as_deref(),
            state: leg.state,
            ssrc: leg.ssrc.map(|ssrc| ssrc.to_string()),
            sender: leg.sender.map(|sender| sender.to_string()),
            behind_nanos: leg.behind_nanos,
            receive_buffer_bytes: leg.receive_buffer_bytes,
            error: leg.error.as_deref(),
            counters: leg.counters,
        }
    }
}
