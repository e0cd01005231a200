//! The encoder of libFLAC behind a safe interface: whole frames of samples in, whole FLAC frames out.
//!
//! Owns: one encoder of the C library, and all `unsafe` that it takes; beside `engine/sys` the one crate that lifts the lint, since
//! the page's server reads files too and must not reach what `sys` can do. Never: a file, a header (whoever writes the file writes
//! them), a thread.
//!
//! # Invariants
//! * An encoder and what it calls back with belong to one value, which goes from thread to thread as a whole.
//! * What comes out is whole frames, and of each it is known how many bytes and how much audio it is.
//!
//! # Rejected designs
//! *The crate `flac-bound`*: its encoder borrows its writer for life and cannot go to another thread, which a file that is written
//! by one thread after another must; and it hides where a frame ends, which a file that is right at every instant must know.
//! *The system's libFLAC*: each image would have to hold it, in its own version. So it is compiled in, from the source that the crate
//! `libflac-sys` brings (without Ogg); the price is CMake wherever Audyn is compiled.
//! *An encoder in Rust*: those there are cost five times the processor.
#![expect(unsafe_code, reason = "libFLAC is a C library")]

use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;

use libc::c_void;
use libflac_sys as ffi;

/// What an encoder is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlacEncoding {
    /// Frames per second.
    pub rate: u32,
    /// Samples of a frame, 1 to 8.
    pub channels: u32,
    /// Bits of a sample, 4 to 24.
    pub bits: u32,
    /// Frames of audio in a frame of FLAC.
    pub block: u32,
    /// 0 is fast, 8 is small.
    pub level: u32,
}

/// The encoder refused: what libFLAC said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("libFLAC refuses to {what} (its code {code})")]
pub struct FlacRefusal {
    what: &'static str,
    code: u32,
}

/// What an encoder has made and nobody has taken yet.
#[derive(Debug, Default)]
pub struct FlacOutput {
    /// Whole FLAC frames, one behind the other.
    pub bytes: Vec<u8>,
    /// Of each its length in bytes and in frames of audio.
    pub frames: Vec<(u32, u32)>,
    md5: Option<[u8; 16]>,
}

/// An encoder that goes on until it is finished.
pub struct FlacEncoder {
    encoder: NonNull<ffi::FLAC__StreamEncoder>,
    /// Belongs to this encoder, which libFLAC gives back to its callbacks; made by a box, freed in `drop`.
    output: NonNull<FlacOutput>,
    channels: usize,
}

// SAFETY: both pointers are owned by this value alone, and libFLAC ties an encoder to no thread: it has no thread of its own
// (`num_threads` stays 1) and no state outside the encoder.
unsafe impl Send for FlacEncoder {}

impl fmt::Debug for FlacEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlacEncoder").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl FlacEncoder {
    /// An encoder of `encoding`.
    ///
    /// # Errors
    /// [`FlacRefusal`] if libFLAC has no memory or cannot encode that.
    pub fn new(encoding: FlacEncoding) -> Result<Self, FlacRefusal> {
        // SAFETY: takes nothing, and gives an encoder or null.
        let encoder = NonNull::new(unsafe { ffi::FLAC__stream_encoder_new() });
        let encoder = encoder.ok_or(FlacRefusal { what: "make an encoder: no memory", code: 0 })?;
        let output = NonNull::from(Box::leak(Box::<FlacOutput>::default()));
        let this = Self { encoder, output, channels: encoding.channels as usize };
        let raw = encoder.as_ptr();
        // SAFETY: the encoder is live and not initialised yet, when each of these may be set; values out of range are refused by
        // `init_stream`. The client data live until the encoder is deleted (`drop`), the callbacks have the types asked for.
        let status = unsafe {
            ffi::FLAC__stream_encoder_set_sample_rate(raw, encoding.rate);
            ffi::FLAC__stream_encoder_set_channels(raw, encoding.channels);
            ffi::FLAC__stream_encoder_set_bits_per_sample(raw, encoding.bits);
            ffi::FLAC__stream_encoder_set_compression_level(raw, encoding.level);
            ffi::FLAC__stream_encoder_set_blocksize(raw, encoding.block);
            ffi::FLAC__stream_encoder_init_stream(
                raw,
                Some(on_bytes),
                None,
                None,
                Some(on_end),
                output.as_ptr().cast(),
            )
        };
        if status != ffi::FLAC__STREAM_ENCODER_INIT_STATUS_OK {
            return Err(FlacRefusal { what: "encode this format", code: status });
        }
        Ok(this)
    }

    /// Takes whole frames: interleaved, right-justified. Frames of FLAC that are full now are in the [`output`](Self::output).
    ///
    /// # Errors
    /// [`FlacRefusal`] if a sample has more bits than were said, or there is no memory. The encoder is of no use then.
    pub fn encode(&mut self, samples: &[i32]) -> Result<(), FlacRefusal> {
        // libFLAC counts in 32 bits.
        for part in samples.chunks(self.channels << 16) {
            let frames = (part.len() / self.channels) as u32;
            // SAFETY: the encoder is live, and `part` holds `frames` × channels samples, which it only reads.
            let ok = unsafe {
                ffi::FLAC__stream_encoder_process_interleaved(self.encoder.as_ptr(), part.as_ptr(), frames)
            };
            if ok == 0 {
                return Err(self.refusal("take samples"));
            }
        }
        Ok(())
    }

    /// Encodes what is less than a block, and gives the MD5 sum of all samples as FLAC defines it. Further samples are refused.
    ///
    /// # Errors
    /// [`FlacRefusal`] if it was finished or broken already.
    pub fn finish(&mut self) -> Result<[u8; 16], FlacRefusal> {
        // SAFETY: the encoder is live; finishing one twice does nothing.
        let ok = unsafe { ffi::FLAC__stream_encoder_finish(self.encoder.as_ptr()) };
        let md5 = self.output().md5.take();
        md5.filter(|_| ok != 0).ok_or_else(|| self.refusal("finish"))
    }

    /// What is encoded. To be emptied by whoever takes it.
    pub fn output(&mut self) -> &mut FlacOutput {
        // SAFETY: it was made by a box and lives as long as `self`; libFLAC's callbacks use it only within calls that borrow
        // `self` exclusively, as this does.
        unsafe { self.output.as_mut() }
    }

    fn refusal(&self, what: &'static str) -> FlacRefusal {
        // SAFETY: the encoder is live, and this only reads.
        FlacRefusal { what, code: unsafe { ffi::FLAC__stream_encoder_get_state(self.encoder.as_ptr()) } }
    }
}

impl FlacOutput {
    /// Forgets what was taken.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }
}

impl Drop for FlacEncoder {
    fn drop(&mut self) {
        // SAFETY: the encoder is live and nobody uses it behind this. Deleting it may call back once more, so that the output
        // is freed after it, as the box that it was made by.
        unsafe {
            ffi::FLAC__stream_encoder_delete(self.encoder.as_ptr());
            drop(Box::from_raw(self.output.as_ptr()));
        }
    }
}

/// Keeps a frame. What comes without samples is the header that libFLAC would write.
unsafe extern "C" fn on_bytes(
    _: *const ffi::FLAC__StreamEncoder,
    buffer: *const u8,
    bytes: usize,
    samples: u32,
    _: u32,
    output: *mut c_void,
) -> ffi::FLAC__StreamEncoderWriteStatus {
    if samples > 0 {
        // SAFETY: the pointer that `new` gave, live and lent to nobody while libFLAC runs.
        let output = unsafe { &mut *output.cast::<FlacOutput>() };
        // SAFETY: libFLAC lends `bytes` bytes for the length of this call.
        output.bytes.extend_from_slice(unsafe { slice::from_raw_parts(buffer, bytes) });
        output.frames.push((bytes as u32, samples));
    }
    ffi::FLAC__STREAM_ENCODER_WRITE_STATUS_OK
}

/// Keeps the sum of all samples, which libFLAC tells at the end.
unsafe extern "C" fn on_end(
    _: *const ffi::FLAC__StreamEncoder,
    metadata: *const ffi::FLAC__StreamMetadata,
    output: *mut c_void,
) {
    // SAFETY: libFLAC lends its STREAMINFO for the length of this call; the field is a plain number, at its place in C's layout.
    if unsafe { ptr::addr_of!((*metadata).type_).read() } == ffi::FLAC__METADATA_TYPE_STREAMINFO {
        // SAFETY: as above, and the type says which member of the union is there.
        let md5 = unsafe { (*metadata).data.stream_info.md5sum };
        // SAFETY: as in `on_bytes`.
        unsafe { (*output.cast::<FlacOutput>()).md5 = Some(md5) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODING: FlacEncoding =
        FlacEncoding { rate: 48_000, channels: 2, bits: 16, block: 4_096, level: 5 };

    #[test]
    fn frames_come_out_whole_and_the_last_one_at_the_end() {
        let mut encoder = FlacEncoder::new(ENCODING).unwrap();
        let samples: Vec<i32> = (0..2 * 10_000).map(|n| (n * 7_919) % 30_000).collect();
        for part in samples.chunks(2 * 37) {
            encoder.encode(part).unwrap();
        }
        let lengths: Vec<u32> = encoder.output().frames.iter().map(|frame| frame.1).collect();
        assert_eq!(lengths, [4_096, 4_096]);
        encoder.finish().unwrap();
        let output = encoder.output();
        assert_eq!(output.frames.iter().map(|frame| frame.1).sum::<u32>(), 10_000);
        let mut at = 0;
        for frame in &output.frames {
            assert_eq!(&output.bytes[at..at + 2], [0xFF, 0xF8], "a frame begins here");
            at += frame.0 as usize;
        }
        assert_eq!(at, output.bytes.len());
        assert!(encoder.finish().is_err(), "once");
    }

    #[test]
    fn it_goes_to_another_thread_and_refuses_what_does_not_fit() {
        let mut encoder = FlacEncoder::new(ENCODING).unwrap();
        std::thread::spawn(move || assert!(encoder.encode(&[40_000, 0]).is_err(), "more than 16 bits"))
            .join()
            .unwrap();
        let error = FlacEncoder::new(FlacEncoding { channels: 9, ..ENCODING }).unwrap_err();
        assert!(error.to_string().contains("refuses to encode this format"), "{error}");
    }
}
