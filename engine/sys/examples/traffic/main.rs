//! Both ends of `ci/bench/capture`: a sender of many flows, and the bare receive loop that the capture thread is held against.
//!
//! ```text
//! traffic blast FLOWS SECONDS [--frames 48] [--cpu N] [--fifo PRIORITY]
//! traffic bare  FLOWS SECONDS [--warm SECONDS] [--cpu N] [--fifo PRIORITY]
//! ```
//!
//! Each prints one line of JSON at its end. Flow N has group 239.64.8.(N+1), port 5004, on `lo`.

mod arguments;
#[expect(unsafe_code, reason = "the bare system call is what is measured; only engine/sys may make it")]
mod bare;
mod blast;

use arguments::Arguments;

fn main() {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let arguments = Arguments::parse(words);
    for missing in arguments.rights().apply() {
        eprintln!("{missing}");
    }
    match mode.as_str() {
        "bare" => bare::run(&arguments),
        "blast" => blast::run(&arguments),
        _ => arguments::refuse("the first word is `bare` or `blast`"),
    }
}
