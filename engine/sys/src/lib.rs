//! What only the operating system can do, behind a safe and small interface.
//!
//! Owns: the memory that datagrams land in ([`Slab`], [`Slot`]), the batched receive ([`BatchReceiver`]), the
//! socket of a flow ([`FlowSocket`]) and its place on the network ([`Membership`], [`NetworkWatch`]), the rights of a
//! real-time thread ([`realtime`]) and the clocks ([`clock`], and those of network cards: [`phc`]).
//! Never: knowledge of RTP, of recorders or of files; a thread of its own; a log line; an allocation in what
//! the capture thread calls each turn ([`BatchReceiver::receive`], [`clock`]).
//!
//! # Goals
//! The one crate of the workspace with `unsafe`, and little of it: three modules and four functions lift the lint, each
//! for the reason given there, each block with its argument. Nothing that a safe caller does with this interface is
//! undefined behaviour; the worst is a documented panic.
//!
//! # Invariants
//! * A [`Slot`] is made once, with its slab, and is neither `Clone` nor `Copy`. Whoever owns the token owns the
//!   bytes; passing the token on (a ring, a channel) passes the bytes on.
//! * A slot handed to the kernel is borrowed exclusively for the length of that one system call.
//!
//! # Rejected designs
//! * Reference-counted buffers: a count is an atomic operation a packet, and its last owner frees wherever it stands.
//! * Slot numbers as plain integers with an unsafe accessor: right until the first one is pushed twice.
//! * `nix::sys::socket::recvmmsg`: builds its headers by allocation and parses control messages into enums a packet.
//!
//! # Procedures
//! The slab's tests also run under Miri (`cargo +nightly miri test -p audyn-sys slab`), where plain allocation stands
//! in for `mmap`. `examples/` holds both ends of `ci/bench/capture`: a sender, and the bare receive loop that capture is held against.
//! The feature `guard` adds an allocator for tests that ends the process when a marked thread allocates.

pub mod clock;
mod error;
#[cfg(feature = "guard")]
#[expect(unsafe_code, reason = "an allocator is unsafe to implement; this one is for tests")]
pub mod guard;
#[expect(unsafe_code, reason = "no crate of ours wraps ioprio_set(2)")]
mod idle;
mod inherited;
mod interfaces;
mod membership;
#[expect(
    unsafe_code,
    reason = "ioctls of hardware clocks and of ethtool, and adjtimex, have no safe wrapper"
)]
pub mod phc;
#[expect(unsafe_code, reason = "a processor's hint is an intrinsic")]
mod prefetch;
pub mod realtime;
#[expect(
    unsafe_code,
    reason = "recvmmsg writes through pointers into slots; control messages are walked by pointer"
)]
mod recv;
#[expect(unsafe_code, reason = "maps memory, and lends its bytes to whoever owns the token")]
mod slab;
mod socket;
#[cfg(test)]
#[cfg(not(miri))] // system calls
mod tests;
mod watch;

pub use clock::{ClockPair, Grid, Tick};
pub use error::SysError;
pub use idle::idle_io;
pub use inherited::inherited;
pub use interfaces::{InterfaceInfo, InterfaceRef, interfaces};
pub use membership::{Membership, Memberships, Rejoined};
pub use phc::{CrossMethod, CrossStamp, InterfaceStamps, Phc};
pub use prefetch::prefetch;
pub use realtime::{RealtimeRequest, ThreadId, ThreadState};
pub use recv::{BatchReceiver, Datagram, Received};
pub use slab::{Slab, Slot};
pub use socket::{FlowSocket, FlowSocketConfig};
pub use watch::{NetworkNews, NetworkWatch};
