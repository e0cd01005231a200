//! Framing: a little-endian `u32` length, then that many bytes of postcard. No I/O here.

use audyn_units::Counted;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest body that is sent or taken, in bytes. A snapshot of 64 recorders of 64 channels fits several times.
pub const MAX_BODY: usize = 1 << 20;

/// A stranger's hello must fit into this many bytes, so that an unknown caller cannot make the engine buffer more.
pub const MAX_HELLO: usize = 256;

/// What can be wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is beyond what is taken.
    #[error(
        "a frame of {length} bytes is longer than the {limit} that are taken; the peer does not speak this protocol"
    )]
    TooLong {
        /// The length that the peer announced.
        length: usize,
        /// The limit that applied.
        limit: usize,
    },
    /// The body is not the postcard of the expected type.
    #[error("a frame could not be decoded; the peer speaks another version of this protocol, or none")]
    Undecodable,
    /// The body has bytes behind the value.
    #[error("a frame has {} too many; the peer speaks another version of this protocol", Counted(*.0 as u64, "byte"))]
    Trailing(usize),
}

/// Appends the frame of `value` to `out`.
pub fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let body = postcard::to_stdvec(value).map_err(|_| FrameError::Undecodable)?;
    if body.len() > MAX_BODY {
        return Err(FrameError::TooLong { length: body.len(), limit: MAX_BODY });
    }
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

/// Takes the value out of one frame's body. Bytes left over are an error: postcard would ignore them, and with
/// them a newer peer's fields.
pub fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(|_| FrameError::Undecodable)?;
    if rest.is_empty() { Ok(value) } else { Err(FrameError::Trailing(rest.len())) }
}

/// The length that a frame's first four bytes announce, checked against `limit`.
pub fn body_length(prefix: [u8; 4], limit: usize) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length > limit { Err(FrameError::TooLong { length, limit }) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientFrame, Request};

    #[test]
    fn a_frame_comes_back() {
        let frame = ClientFrame::Request { id: 7, request: Request::StartAll };
        let mut bytes = Vec::new();
        encode(&frame, &mut bytes).unwrap();
        let prefix = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let length = body_length(prefix, MAX_BODY).unwrap();
        assert_eq!(length, bytes.len() - 4);
        assert_eq!(decode_body::<ClientFrame>(&bytes[4..]).unwrap(), frame);
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(matches!(body_length([0xff; 4], MAX_BODY), Err(FrameError::TooLong { .. })));
        assert_eq!(decode_body::<ClientFrame>(&[0x09, 1, 2]), Err(FrameError::Undecodable));
        let mut bytes = Vec::new();
        encode(&ClientFrame::Request { id: 7, request: Request::StartAll }, &mut bytes).unwrap();
        bytes.push(0);
        assert_eq!(decode_body::<ClientFrame>(&bytes[4..]), Err(FrameError::Trailing(1)));
    }
}
