//! Files joined are the recording: as long, and without a seam that could be heard.

use audyn_media::opus::{OpusApplication, OpusSpec};
use proptest::prelude::*;

use crate::support::{Signal, at_48k, read, signal, spec, write};

const SIGNALS: [Signal; 4] = [Signal::Sine, Signal::Sweep, Signal::Noise, Signal::Music];

fn cuts(frames: usize, n: usize, mut state: u32) -> Vec<usize> {
    let mut cuts: Vec<usize> = (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((u64::from(state) * frames as u64) >> 32) as usize
        })
        .collect();
    cuts.sort_unstable();
    cuts
}

/// One file, and the same in twenty, joined.
fn uncut_and_joined(spec: OpusSpec, samples: &[i32], cuts: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let whole = read(&write(spec, samples, &[], 4_801)[0]);
    let joined = write(spec, samples, cuts, 4_801).iter().flat_map(|file| read(file)).collect();
    (whole, joined)
}

#[test]
fn twenty_files_are_bit_for_bit_the_one_that_was_not_cut() {
    // Without its model of speech the decoder has forgotten, 0.96 s on, that it did not hear all.
    for (hz, channels) in [(48_000, 2), (44_100, 2), (96_000, 1), (48_000, 3)] {
        for kind in SIGNALS {
            let spec = spec(hz, channels);
            let samples = signal(kind, spec, hz as usize * 4);
            let cuts = cuts(hz as usize * 4, 19, 7);
            let (whole, joined) = uncut_and_joined(spec, &samples, &cuts);
            assert!(whole == joined, "{hz} Hz, {channels} channels, {kind:?}");
            assert_eq!(whole.len(), at_48k(hz, 0, hz as usize * 4) * usize::from(channels));
        }
    }
}

/// The errors of 20 ms around each of `at`, in dB below the signal.
fn snr_at(decoded: &[i32], given: &[i32], channels: usize, at: impl Iterator<Item = usize>) -> f64 {
    let snr = at.map(|at| {
        let range = at.saturating_sub(480) * channels..(at + 480).min(decoded.len() / channels) * channels;
        let (mut signal, mut error) = (1.0, 1.0);
        for (&a, &b) in decoded[range.clone()].iter().zip(&given[range]) {
            signal += f64::from(b).powi(2);
            error += (f64::from(a) - f64::from(b)).powi(2);
        }
        10.0 * (signal / error).log10()
    });
    snr.fold(f64::INFINITY, f64::min)
}

#[test]
fn where_speech_is_modelled_no_seam_is_worse_than_the_rest() {
    for (channels, application, bitrate) in [
        (1, OpusApplication::Voip, 24_000),
        (3, OpusApplication::Voip, 72_000),
        (2, OpusApplication::Audio, 48_000),
    ] {
        for kind in SIGNALS {
            let spec = OpusSpec { application, bitrate, ..spec(48_000, channels) };
            let (channels, frames) = (usize::from(channels), 48_000 * 6);
            let samples = signal(kind, spec, frames);
            let cuts = cuts(frames, 19, 5);
            let (whole, joined) = uncut_and_joined(spec, &samples, &cuts);
            assert_eq!(joined.len(), samples.len());
            let seams = snr_at(&joined, &samples, channels, cuts.iter().copied());
            let elsewhere = snr_at(&whole, &samples, channels, (2..frames / 480).map(|n| n * 480));
            assert!(
                seams > elsewhere - 0.5,
                "{application:?} {bitrate} {kind:?}: {seams} dB, elsewhere {elsewhere} dB"
            );
        }
    }
}

#[test]
fn what_was_given_comes_back_at_its_place() {
    let spec = spec(48_000, 2);
    let samples = signal(Signal::Sine, spec, 96_000);
    let joined: Vec<i32> =
        write(spec, &samples, &cuts(96_000, 5, 3), 480).iter().flat_map(|file| read(file)).collect();
    let snr = snr_at(&joined, &samples, 2, (2..198).map(|n| n * 480));
    assert!(snr > 25.0, "{snr} dB: one sample off is 18 dB");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn lengths_add_up_wherever_it_is_cut(
        hz in prop::sample::select(vec![44_100u32, 48_000, 96_000]),
        channels in 1u8..=3,
        lengths in prop::collection::vec(prop_oneof![0usize..4, 0usize..3_000, 0usize..20_000], 1..7),
        block in 1usize..6_000,
    ) {
        let spec = OpusSpec { complexity: 0, ..spec(hz, channels) };
        let ends: Vec<usize> = lengths.iter().scan(0, |at, n| { *at += n; Some(*at) }).collect();
        let (frames, cuts) = ends.split_last().unwrap();
        let files = write(spec, &signal(Signal::Noise, spec, *frames), cuts, block);
        let mut from = 0;
        for (file, &to) in files.iter().zip(&ends) {
            prop_assert_eq!(read(file).len(), at_48k(hz, from, to) * usize::from(channels));
            from = to;
        }
    }
}
