//! The engine as a whole, on loopback: real sockets, threads and files.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod archive;
mod common;
mod engine;
mod hung;
mod legs;
mod markers;
mod mirror;
mod places;
mod resume;
mod retention;
mod rights;
mod selftest;
mod socket;
mod volume;
mod watchdog;
