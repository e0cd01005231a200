//! The capture thread allocates nothing after its start, frees nothing, and finds all of its memory present.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use audyn_api::SourceConfig;
use audyn_daemon::{Engine, RecorderSpec};
use audyn_sys::guard;

use crate::common::{Stream, address, engine, recorder, source, stop, until, until_written};

/// Slots of a flow.
const SLOTS: usize = 1_024;

/// A thread of this process.
pub(crate) struct Thread {
    pub(crate) number: i32,
}

/// The thread of this process that has this name; waits until there is one.
pub(crate) fn thread_named(name: &str) -> Thread {
    let mut found = None;
    until(name, || {
        found = std::fs::read_dir("/proc/self/task").unwrap().find_map(|task| {
            let task = task.ok()?;
            let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let number = task.file_name().to_str()?.parse().ok()?;
            (comm.trim() == name).then_some(Thread { number })
        });
        found.is_some()
    });
    found.expect("it was waited for")
}

impl Thread {
    /// Page faults so far: fields 10 and 12 of proc_pid_stat(5).
    fn page_faults(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", self.number)).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[7].parse::<u64>().unwrap() + fields[9].parse::<u64>().unwrap()
    }
}

/// A socket that sends what is no audio.
struct Hostile(UdpSocket);

impl Hostile {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        Self(socket.into())
    }

    /// Datagrams of every length that there is a case for: none, no header, a packet, more than a slot.
    fn flood(&self, to: SocketAddr, datagrams: usize) {
        let bytes = [0xA5; 4_000];
        for n in 0..datagrams {
            let length = [0, 3, 300, 1_452, 1_536, 1_537, 4_000][n % 7];
            self.0.send_to(&bytes[..length], to).unwrap();
        }
    }
}

fn configure(engine: &mut Engine, flows: &[(SourceConfig, RecorderSpec)]) {
    let (sources, recorders): (Vec<_>, Vec<_>) = flows.iter().cloned().unzip();
    engine.configure(recorders, &sources);
}

fn flow(number: u8, root: &Path) -> (SourceConfig, RecorderSpec, SocketAddr) {
    let to = address(100 + number);
    let id = format!("f{number}");
    let source = source(&id, to);
    let recorder = recorder(&id, &source, root);
    (source, recorder, to)
}

#[test]
fn the_capture_thread_allocates_nothing_after_its_start_and_finds_its_memory_present() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine(dir.path());
    let pulse = engine.capture_pulse();
    let capture = thread_named("audyn-capture");
    until("a first turn", || pulse.turns() > 0);
    // Declared after the engine, so that it goes first: the thread's end may free what it has.
    let mark = guard::Mark::on(capture.number);

    // One flow stays and is recorded; others come, are flooded, and go.
    let (stays, records, to) = flow(0, dir.path());
    let stays = (stays, records);
    configure(&mut engine, std::slice::from_ref(&stays));
    engine.record("f0", None).unwrap();
    let (mut stream, hostile) = (Stream::new(1, to), Hostile::new());
    let (mut sent, mut datagrams) = (0, 0);
    for round in 0..12u8 {
        let mut flows = vec![stays.clone()];
        let mut addresses = vec![to];
        for number in 1..=round % 4 {
            let (source, recorder, address) = flow(number, dir.path());
            flows.push((source, recorder));
            addresses.push(address);
        }
        configure(&mut engine, &flows);
        until("all flows are open", || {
            engine.reconcile();
            engine.snapshot().flows.iter().all(|flow| flow.error.is_none())
        });
        for &address in &addresses {
            hostile.flood(address, 700);
            stream.send(10);
            sent += 10 * 48;
            datagrams += 710;
            until_written(&mut engine, "f0", sent);
        }
        // What was flooded is taken before its flow goes, or it would go with it.
        until("all of it was taken", || engine.snapshot().capture.datagrams >= datagrams);
    }
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.capture.datagrams, datagrams, "all of it was taken");
    assert!(snapshot.flows[0].counters.oversized > 0, "{:?}", snapshot.flows[0].counters);

    // Flows that come now cost no page: neither their slots, nor a ring once around, nor anything of their own. There are more
    // of them than before, so that their memory is new.
    let before = capture.page_faults();
    let mut flows = vec![stays.clone()];
    let mut addresses = Vec::new();
    for number in 10..34 {
        let (source, recorder, address) = flow(number, dir.path());
        flows.push((source, recorder));
        addresses.push(address);
    }
    configure(&mut engine, &flows);
    for _ in 0..2 * SLOTS / 100 + 1 {
        for &address in &addresses {
            hostile.flood(address, 100);
            datagrams += 100;
        }
        until("they were taken", || engine.snapshot().capture.datagrams >= datagrams);
    }
    assert_eq!(capture.page_faults() - before, 0, "page faults of the capture thread");

    stop(&mut engine, "f0");
    drop(mark);
    drop(engine);
}
