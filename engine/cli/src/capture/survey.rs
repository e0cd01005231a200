//! The first reading of a capture: which streams are in it, and how each is made.

use std::ops::ControlFlow;
use std::path::Path;

use audyn_wire::sdp::Media;

use super::shape::{Form, Shapes, Told};
use super::{About, CaptureError, Layers, read, take_apart};

/// Packets that hold no whole UDP datagram, by what they are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    pub(crate) fragments: u64,
    pub(crate) other_ip: u64,
    pub(crate) not_ip: u64,
    pub(crate) too_short: u64,
    pub(crate) unknown_link: u64,
}

/// A stream of audio.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its place among the shapes.
    pub(crate) shape: usize,
    pub(crate) form: Form,
    /// What a session description says of it.
    pub(crate) media: Option<Media>,
}

/// What a capture holds.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) about: About,
    pub(crate) passed: Passed,
    pub(crate) shapes: Shapes,
    /// The streams of audio, in the order of their first packets.
    pub(crate) flows: Vec<Found>,
    /// RTP that is no audio, or not as it was told: its place among the shapes, and why.
    pub(crate) refused: Vec<(usize, String)>,
}

/// Reads the whole file once. What `told` says goes before what `media` say, and that before a guess.
pub(crate) fn survey(path: &Path, told: Told, media: &[Media]) -> Result<Survey, CaptureError> {
    let mut shapes = Shapes::default();
    let mut passed = Passed::default();
    let about = read(path, |frame| {
        match take_apart(&frame) {
            Layers::Udp(datagram) => shapes.look(&datagram),
            Layers::Fragment => passed.fragments += 1,
            Layers::OtherIp => passed.other_ip += 1,
            Layers::NotIp => passed.not_ip += 1,
            Layers::TooShort => passed.too_short += 1,
            Layers::UnknownLink => passed.unknown_link += 1,
        }
        ControlFlow::Continue(())
    })?;
    let (mut flows, mut refused) = (Vec::new(), Vec::new());
    for (at, shape) in shapes.shapes.iter().enumerate() {
        let to = shape.way.destination;
        let described = media.iter().find(|media| (media.address, media.port) == (to.ip(), to.port()));
        let said = described.map_or(told, |media| Told {
            encoding: told.encoding.or(Some(media.encoding)),
            channels: told.channels.or(Some(media.channels)),
            rate: told.rate.or(Some(media.rate)),
            payload_type: told.payload_type.or(Some(media.payload_type)),
        });
        match shape.form(said) {
            Some(Ok(form)) => flows.push(Found { shape: at, form, media: described.cloned() }),
            Some(Err(reason)) => refused.push((at, reason)),
            None => {}
        }
    }
    Ok(Survey { about, passed, shapes, flows, refused })
}
