//! A sender for benchmarks: stereo L24 flows, all by one thread, each packet time one packet a flow.
//!
//! `audyn send` is a process a flow with a wake-up a packet, and on a small machine its wake-ups cost more than what is
//! measured. It prints the packets sent a flow, how many the system refused, how often it was late by more than 1 ms (it
//! catches up, so none is left out), and the time it took.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use audyn_sys::clock;
use audyn_units::Nanos;

use crate::arguments::{Arguments, PORT, group};

/// Bytes of an RTP header without extensions (RFC 3550 §5.1), and of a stereo frame.
const HEADER: usize = 12;
const FRAME: usize = 6;

pub(crate) fn run(arguments: &Arguments) {
    let frames = arguments.frames;
    // The route to the groups says that they are reached by `lo`; the network namespace has nothing else.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
    let to: Vec<SocketAddr> = (0..arguments.flows).map(|flow| (group(flow), PORT).into()).collect();
    let mut packet = vec![0u8; HEADER + frames as usize * FRAME];
    // Version 2; payload type 96.
    packet[..2].copy_from_slice(&[0x80, 96]);
    for (n, byte) in packet[HEADER..].iter_mut().enumerate() {
        *byte = (n * 37) as u8;
    }
    let began = clock::mono_now();
    let (mut sent, mut refused, mut late) = (0u64, 0u64, 0u64);
    loop {
        let position = sent * frames;
        let due = began + Nanos((position * 1_000_000_000 / 48_000) as i64);
        if due - began >= arguments.time {
            break;
        }
        let now = clock::mono_now();
        if now < due {
            clock::sleep_until(due);
        } else if now - due > Nanos::from_millis(1) {
            late += 1;
        }
        packet[2..4].copy_from_slice(&(sent as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(position as u32).to_be_bytes());
        for (flow, to) in to.iter().enumerate() {
            packet[8..12].copy_from_slice(&(flow as u32 + 0x1000).to_be_bytes());
            refused += u64::from(socket.send_to(&packet, to).is_err());
        }
        sent += 1;
    }
    let nanos = (clock::mono_now() - began).0;
    println!(r#"{{"packets_per_flow":{sent},"refused":{refused},"late":{late},"nanos":{nanos}}}"#);
}
