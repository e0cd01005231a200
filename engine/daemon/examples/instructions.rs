//! What `ci/instructions` counts under Callgrind: a stereo L24 flow of 1 ms packets through capture and worker, in real time.
//!
//! Packets come as the capture thread finds them (four a turn of 4 ms, two of its turns a turn of the worker), paced by the
//! clock, since receive times are the kernel's. It prints how many packets went through; a packet that was lost ends it.

use std::net::UdpSocket;

use audyn_daemon::bench::FlowPath;
use audyn_sys::{ClockPair, clock};
use audyn_units::{Nanos, SampleRate};

/// Packets of a turn of the capture thread.
const TURN: u64 = 4;

/// Turns of the capture thread: 4 s.
const TURNS: u64 = 1_000;

/// Frames and bytes of a packet.
const FRAMES: u64 = 48;
const BYTES: usize = 12 + FRAMES as usize * 6;

fn main() {
    let mut path = FlowPath::open().expect("the loopback has a free port");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("the loopback has a free port");
    let mut packet = [0u8; BYTES];
    packet[..2].copy_from_slice(&[0x80, 96]);
    packet[8..12].copy_from_slice(&0x1234_5678u32.to_be_bytes());
    let began = clock::mono_now();
    // A sender whose media clock is the machine's, so that the flow is placed by it.
    let origin = SampleRate::HZ_48000.frames_in(Nanos(clock::utc_now().as_nanos())).0;
    let (mut sent, mut recorded) = (0u64, 0u64);
    for turn in 1..=TURNS {
        clock::sleep_until(began + Nanos::from_millis(4) * turn as i64);
        for _ in 0..TURN {
            packet[2..4].copy_from_slice(&(sent as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&((origin + sent * FRAMES) as u32).to_be_bytes());
            for (n, byte) in packet[12..].iter_mut().enumerate() {
                *byte = (sent * 31 + n as u64 * 7) as u8;
            }
            socket.send_to(&packet, path.address()).expect("the loopback takes packets");
            sent += 1;
        }
        path.capture_turn(&ClockPair::sample());
        if turn % 2 == 0 {
            path.worker_turn(&ClockPair::sample());
            recorded += path.disk_turn();
        }
    }
    assert_eq!(path.received(), sent, "every packet was taken");
    assert_eq!(recorded, sent * FRAMES, "every frame was recorded");
    println!("{sent}");
}
