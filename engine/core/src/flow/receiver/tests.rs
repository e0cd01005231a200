//! What a receiver holds in memory.

use audyn_units::{ChannelCount, PayloadType, SampleRate};

use super::*;

#[test]
fn the_reorder_window_takes_the_bytes_that_the_docs_of_legs_say() {
    let format = FlowFormat {
        encoding: audyn_units::Encoding::L24,
        rate: SampleRate::HZ_96000,
        channels: ChannelCount::new(64).unwrap(),
        payload_type: PayloadType::DYNAMIC,
    };
    for (skew, held) in [(None, 80_u64), (Some(SkewClass::A), 230), (Some(SkewClass::C), 670)] {
        let window = Receiver::with(format, FrameIndex(0), skew).window;
        let frames = (96 * held).next_power_of_two();
        assert_eq!(window.bytes(), frames as usize * 64 * 4 + frames as usize / 8, "{skew:?}");
    }
}
