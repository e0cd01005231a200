//! Which streams are legs of one (ST 2022-7): as a session description says, or as the packets show.
//!
//! Owns: the pairs, and a sentence for each that is none although it looks like one. Never: more than two legs together; the
//! receiver, as the engine's, takes two.

use audyn_wire::sdp::{Media, SdpError, Session};

use super::receive::Merger;
use crate::capture::Survey;
use crate::capture::shape::Twin;
use crate::words::joined;

/// What is merged, and what is to be said of the rest.
pub(super) struct Pairs {
    pub(super) joined: Vec<Merger>,
    pub(super) remarks: Vec<Remark>,
}

/// A sentence about some of the streams.
pub(super) struct Remark {
    pub(super) flows: Vec<usize>,
    pub(super) sentence: String,
}

pub(super) fn pairs(survey: &Survey, sessions: &[Session]) -> Pairs {
    let mut pairs = Pairs { joined: Vec::new(), remarks: Vec::new() };
    let mut taken = vec![false; survey.flows.len()];
    for session in sessions {
        let mut legs = Vec::new();
        let told = session.legs();
        if let Err(error @ SdpError::Legs { .. }) = &told {
            let flows = session.media.iter().filter_map(|media| flow_of(survey, media)).collect();
            let sentence = format!("nothing is merged by the SDP \"{}\": {error}", session.name);
            pairs.remarks.push(Remark { flows, sentence });
        }
        for flow in told.into_iter().flatten().filter_map(|media| flow_of(survey, media)) {
            if !taken[flow] && !legs.contains(&flow) {
                legs.push(flow);
            }
        }
        if legs.len() < 2 {
            continue;
        }
        if let Some(other) = legs.iter().find(|flow| !same_form(survey, legs[0], **flow)) {
            let sentence = format!(
                "{} are legs of one by the SDP, but {} has another format than {}, so they are not merged; see that the SDP is theirs",
                names(survey, &legs),
                name(survey, *other),
                name(survey, legs[0])
            );
            pairs.remarks.push(Remark { flows: legs, sentence });
            continue;
        }
        let more = legs.split_off(2);
        if !more.is_empty() {
            let sentence = format!(
                "{} {} by the SDP one leg more of what {} carry, and left out of what is merged: two legs are, as the engine does",
                names(survey, &more),
                if more.len() == 1 { "is" } else { "are each" },
                names(survey, &legs)
            );
            pairs.remarks.push(Remark { flows: [&legs[..], &more].concat(), sentence });
        }
        legs.iter().chain(&more).for_each(|flow| taken[*flow] = true);
        pairs.joined.push(Merger { flows: legs, by: "sdp" });
    }
    for one in 0..survey.flows.len() {
        for two in one + 1..survey.flows.len() {
            let shape = |flow: usize| &survey.shapes.shapes[survey.flows[flow].shape];
            if taken[two] || !same_form(survey, one, two) {
                continue;
            }
            let before = pairs.joined.iter().find(|pair| pair.by != "sdp" && pair.flows.contains(&one));
            match (shape(one).twin(shape(two)), before) {
                (Twin::Is(by), None) if !taken[one] => {
                    (taken[one], taken[two]) = (true, true);
                    pairs.joined.push(Merger { flows: vec![one, two], by });
                }
                (Twin::Is(_), Some(pair)) => {
                    taken[two] = true;
                    let sentence = format!(
                        "{} carries the same as {}, and is left out of what is merged: two legs are, as the engine does",
                        name(survey, two),
                        names(survey, &pair.flows)
                    );
                    pairs.remarks.push(Remark { flows: [&pair.flows[..], &[two]].concat(), sentence });
                }
                (Twin::Perhaps, _) if !taken[one] => {
                    let sentence = format!(
                        "{} count alike, but have two SSRCs and share no packet that tells whether they are legs of one; if they \
                         are, give the SDP that joins them with --sdp, and they are merged",
                        names(survey, &[one, two])
                    );
                    pairs.remarks.push(Remark { flows: vec![one, two], sentence });
                }
                _ => {}
            }
        }
    }
    pairs
}

/// The stream to where a description says.
fn flow_of(survey: &Survey, media: &Media) -> Option<usize> {
    survey.flows.iter().position(|flow| {
        let to = survey.shapes.shapes[flow.shape].way.destination;
        (media.address, media.port) == (to.ip(), to.port())
    })
}

fn same_form(survey: &Survey, one: usize, two: usize) -> bool {
    survey.flows[one].form.format == survey.flows[two].form.format
}

fn name(survey: &Survey, flow: usize) -> String {
    survey.shapes.shapes[survey.flows[flow].shape].way.destination.to_string()
}

fn names(survey: &Survey, flows: &[usize]) -> String {
    joined(&flows.iter().map(|flow| name(survey, *flow)).collect::<Vec<_>>(), "and")
}
