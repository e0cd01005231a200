//! The server against a fake engine: every route, every refusal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod assets;
mod common;
mod crowd;
mod flows;
mod guard;
mod levels;
mod markers;
mod recorders;
mod retention;
mod system;
mod volumes;
