//! The web daemon: REST, WebSocket, files and the page.
//!
//! Owns: everything that a browser talks to. It follows the engine's snapshot over its Unix socket, shows it as
//! JSON, passes commands on, and reads the archive (never writes it: deleting goes through the engine).
//! Never: audio, capture, root actions, a way to reach it from another machine before there are accounts.
//!
//! ```text
//! browser ─HTTP─▶ serve ─▶ guard ─▶ recorders / control / assets ─▶ engine::Engine ─Unix socket─▶ audyn-engine
//!         ◀──WS── levels ◀─────── watch channels ◀──────── engine::Engine::follow ◀─events─┘
//! ```
//!
//! # Design notes
//!
//! - *One connection follows, others command.* Events never delay a command, and a command that waits for files
//!   to close delays nobody.
//! - *Reading your own writes.* After a command the snapshot is fetched on the command's connection and published,
//!   so the next GET shows its effect even if the event has not come yet.
//! - *Errors* are [`error::Error`] and nothing else; [`error::Error::status`] is the one map to HTTP, and each
//!   error answer is `application/problem+json` (RFC 9457).
#![forbid(unsafe_code)]

pub mod app;
pub mod archive;
mod assets;
mod clock;
mod control;
pub mod engine;
pub mod error;
mod extract;
mod flows;
mod guard;
mod legs;
mod levels;
pub mod listeners;
pub mod log;
mod markers;
mod metrics;
mod model;
pub mod options;
pub mod page;
mod range;
mod recorders;
mod retention;
mod room;
pub mod seats;
pub mod serve;
mod system;
mod time;
mod volumes;
