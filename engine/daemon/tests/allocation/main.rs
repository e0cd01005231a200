//! No allocation after start, held by an allocator that ends the process: in the capture thread, and in the receiver.
//!
//! A binary of its own, since a binary has one allocator. See `audyn_sys::guard`.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "../it/common.rs"]
#[expect(dead_code, reason = "the other test binary uses all of it")]
mod common;

mod capture;
mod guard;
mod receiver;

#[global_allocator]
static ALLOCATOR: audyn_sys::guard::GuardedAllocator = audyn_sys::guard::GuardedAllocator;
