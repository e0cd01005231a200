//! The least that receiving can cost: `recvmmsg` on a grid, into the same few buffers, and the data is thrown away.
//!
//! It has the capture thread's sockets, cadence and batch, but asks for no sender's address and no receive time, and has no
//! slot, ring or counter. It prints the datagrams taken in the time measured, and the nanoseconds of CPU that they took.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use audyn_sys::{FlowSocket, FlowSocketConfig, Grid, InterfaceRef, clock};
use audyn_units::Nanos;

use crate::arguments::{Arguments, PORT, group, refuse};

/// The capture thread's.
const BATCH: usize = 64;
const SLOT_BYTES: usize = 1_536;
const PERIOD: Nanos = Nanos::from_millis(4);
const RECEIVE_BUFFER: usize = 4 << 20;

pub(crate) fn run(arguments: &Arguments) {
    let sockets: Vec<FlowSocket> = (0..arguments.flows).map(open).collect();
    let mut buffers = vec![[0u8; SLOT_BYTES]; BATCH];
    let mut vectors: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: SLOT_BYTES })
        .collect();
    // SAFETY: all-zero is a valid value of this plain C struct: null pointers, zero lengths.
    let mut headers: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; BATCH];
    for (header, vector) in headers.iter_mut().zip(&mut vectors) {
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }

    let mut grid = Grid::new(PERIOD).expect("4 ms is a period");
    let warm = clock::mono_now() + arguments.warm;
    let (mut taken, mut began) = (0u64, None);
    loop {
        clock::sleep_until(grid.next_after(clock::mono_now()).at);
        let now = clock::mono_now();
        match began {
            None if now >= warm => (taken, began) = (0, Some((now, cpu_nanos()))),
            Some((since, cpu)) if now - since >= arguments.time => {
                let (cpu, nanos) = (cpu_nanos() - cpu, (now - since).0);
                return println!(r#"{{"datagrams":{taken},"cpu_nanos":{cpu},"nanos":{nanos}}}"#);
            }
            _ => {}
        }
        for socket in &sockets {
            loop {
                let received = receive(socket, &mut headers);
                taken += received as u64;
                if received < BATCH {
                    break;
                }
            }
        }
    }
}

/// One call. `headers` lead to vectors and buffers that live as long as `run`.
fn receive(socket: &FlowSocket, headers: &mut [libc::mmsghdr]) -> usize {
    // SAFETY: each header leads to its own vector and that to its own buffer, with their true lengths; `run` made them,
    // keeps them to its end and touches them no more. A null timeout means none.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    usize::try_from(received).unwrap_or(0)
}

/// The socket of a flow, as the engine opens it.
fn open(flow: usize) -> FlowSocket {
    let config = FlowSocketConfig {
        address: IpAddr::V4(group(flow)),
        port: PORT,
        interface: Some(InterfaceRef::Name("lo".to_owned())),
        source: None,
        receive_buffer: RECEIVE_BUFFER,
    };
    FlowSocket::open(&config).unwrap_or_else(|error| refuse(&error.to_string()))
}

/// CPU time of the calling thread, user and system, in nanoseconds: the first field of its schedstat.
fn cpu_nanos() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let field = schedstat.split_whitespace().next().and_then(|field| field.parse().ok());
    field.unwrap_or_else(|| {
        refuse("this kernel has no /proc/PID/schedstat, so there is nothing to measure with")
    })
}
