//! The watcher is watched: what must not allocate and does, ends the process, and says where.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use audyn_sys::guard;

/// Which crime the process that [`a_crime_is_caught`] starts shall commit.
const CRIME: &str = "AUDYN_GUARD_CRIME";

#[test]
fn a_crime_is_caught() {
    for (crime, message) in [
        ("allocate", "allocated 4096 bytes"),
        ("free", "freed 4096 bytes"),
        ("grow", "allocated anew 8192 bytes"),
        ("elsewhere", "thread accused allocated 4096 bytes"),
    ] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "guard::a_crime_if_one_is_asked_for", "--nocapture"])
            .env(CRIME, crime)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.signal(), Some(6), "{crime} must abort: {said}");
        assert!(said.contains(message), "{crime}: {said}");
        assert!(said.contains("guard::commit"), "the place is named: {said}");
    }
}

#[test]
fn a_crime_if_one_is_asked_for() {
    let Ok(crime) = std::env::var(CRIME) else { return };
    let mut bytes: Vec<u8> = Vec::with_capacity(4_096);
    match crime.as_str() {
        "elsewhere" => {
            // Marked only once its own code runs, since a thread allocates after it has its name; and told by a barrier, at which
            // waiting allocates nothing: a channel's `recv` does when it blocks.
            let accused = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                let thread =
                    std::thread::Builder::new().name("accused".to_owned()).spawn_scoped(scope, || {
                        accused.wait();
                        commit("allocate", &mut Vec::new());
                    });
                let number = crate::capture::thread_named("accused").number;
                let _mark = guard::Mark::on(number);
                accused.wait();
                thread.unwrap().join().unwrap();
            });
        }
        crime => guard::without_allocation(|| commit(crime, &mut bytes)),
    }
    unreachable!("{crime} was not caught");
}

#[inline(never)]
fn commit(crime: &str, bytes: &mut Vec<u8>) {
    match crime {
        "allocate" => drop(std::hint::black_box(Vec::<u8>::with_capacity(4_096))),
        "free" => drop(std::mem::take(bytes)),
        "grow" => bytes.reserve_exact(8_192),
        _ => unreachable!("no such crime: {crime}"),
    }
}

#[test]
fn what_a_callback_does_is_its_own() {
    let list = guard::without_allocation(|| guard::with_allocation(|| vec![1, 2, 3]));
    assert_eq!(list.len(), 3);
}
