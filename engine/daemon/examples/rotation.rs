//! Recorders that rotate for hours in minutes: `cargo run --release -p audyn-daemon --features bench --example rotation -- [RECORDERS [MINUTES]]`.
//!
//! 64 recorders and three hours, if nothing else is asked for; see `audyn_daemon::bench::rotation` for what is checked. Below TMPDIR.

use std::process::ExitCode;
use std::time::Instant;

use audyn_daemon::bench::rotation::rotate;

fn main() -> ExitCode {
    let mut numbers =
        std::env::args().skip(1).map(|n| n.parse().expect("give numbers: recorders, and minutes"));
    let (recorders, minutes) = (numbers.next().unwrap_or(64), numbers.next().unwrap_or(180));
    let place = tempfile::tempdir().expect("TMPDIR takes a directory");
    let began = Instant::now();
    let rotated = rotate(place.path(), recorders as usize, minutes).expect("the disk takes it");
    for fault in &rotated.faults {
        println!("FAIL {fault}");
    }
    println!(
        "{recorders} recorders × {minutes} min: {} files, {} frames, {} faults, in {:.0} s",
        rotated.files,
        rotated.frames,
        rotated.faults.len(),
        began.elapsed().as_secs_f64()
    );
    ExitCode::from(u8::from(!rotated.faults.is_empty()))
}
