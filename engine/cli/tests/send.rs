//! `audyn send` as a user runs it, heard by a plain UDP socket. Everything is judged by what arrived and by
//! counts, never by when.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy exempts only test functions themselves"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use audyn_core::sender::{Span, Spans, Truth, index_identify, index_position_of, index_sample};
use audyn_media::{Facts, PcmDepth, WavSpec, WavWriter};
use audyn_units::{ChannelCount, Encoding, FrameCount, FrameIndex, RtpTime, SampleRate, SeqNo, Ssrc};
use audyn_wire::rtp::{Header, Packet};
use audyn_wire::{pcm, sdp};

/// A socket that keeps all it hears until it is told to stop.
struct Ear {
    address: SocketAddr,
    heard: JoinHandle<Vec<Vec<u8>>>,
}

impl Ear {
    fn on(socket: UdpSocket) -> Self {
        let address = socket.local_addr().unwrap();
        let heard = thread::spawn(move || {
            let mut all = Vec::new();
            let mut buffer = [0; 2048];
            loop {
                // An empty datagram is the stop: it came after everything that was sent before it.
                match socket.recv(&mut buffer).unwrap() {
                    0 => return all,
                    length => all.push(buffer[..length].to_vec()),
                }
            }
        });
        Self { address, heard }
    }

    fn loopback() -> Self {
        Self::on(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    fn port(&self) -> String {
        self.address.port().to_string()
    }

    fn stop(self) -> Vec<Vec<u8>> {
        let port = self.address.port();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().send_to(&[], (Ipv4Addr::LOCALHOST, port)).unwrap();
        self.heard.join().unwrap()
    }
}

fn audyn(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audyn"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(output: &Output) -> serde_json::Value {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn decode(encoding: Encoding, datagram: &[u8]) -> (Header, Vec<i32>) {
    let packet = Packet::parse(datagram).unwrap();
    let mut samples = vec![0; packet.payload.len() / encoding.bytes()];
    pcm::decode(encoding, packet.payload, &mut samples);
    (packet.header, samples)
}

#[test]
fn the_index_arrives_and_the_truth_is_what_arrived() {
    const PACKETS: u64 = 600;
    let scratch = tempfile::tempdir().unwrap();
    let (truth, description) = (scratch.path().join("truth.json"), scratch.path().join("stream.sdp"));
    let ear = Ear::loopback();
    let port = ear.port();
    let child = audyn(&["--json", "send", "-m", "127.0.0.1", "-p", &port, "--index", "--stream-id", "41"])
        .args(["--spp", "6", "-c", "3", "--packets", &PACKETS.to_string(), "--seed", "3", "--loss", "2%"])
        .args(["--burst", "1%:4", "--reorder", "5%:3", "--duplicate", "3%:2", "--pause", "900:300:outage"])
        .args(["--ssrc-change", "1800:0xcafe", "--sequence-reset", "1800:5", "--jump", "2400:-1000"])
        .args(["--first-seq", "65500", "--first-timestamp", "4294966000", "--ssrc", "0x7"])
        .args(["--truth", truth.to_str().unwrap(), "--sdp-out", description.to_str().unwrap()])
        .spawn()
        .unwrap();
    let output = finish(child);
    let heard = ear.stop();
    let truth: Truth = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();

    let mut times = BTreeMap::<u64, u32>::new();
    for datagram in &heard {
        let (header, samples) = decode(Encoding::L24, datagram);
        let identity = index_identify(samples[0], samples[3], Encoding::L24);
        assert_eq!(identity, Some((41, 0)));
        let position = index_position_of(41, 0, Encoding::L24, samples[0]);
        for (n, &sample) in samples.iter().enumerate() {
            let frame = position + FrameCount(n as u64 / 3);
            assert_eq!(sample, index_sample(41, frame, n % 3, Encoding::L24));
        }
        assert_eq!(samples.len(), 18);
        assert_eq!(header.timestamp, truth.timestamp_of(position));
        assert_eq!(header.ssrc, if position.0 < 1_800 { Ssrc(7) } else { Ssrc(0xcafe) });
        *times.entry(position.0).or_default() += 1;
    }
    let (mut missing, mut twice) = (Spans::default(), Spans::default());
    for packet in 0..PACKETS {
        let span = Span { start: FrameIndex(packet * 6), frames: FrameCount(6) };
        match times.get(&span.start.0) {
            None => missing.insert(span),
            Some(1) => {}
            Some(_) => twice.insert(span),
        }
    }
    assert_eq!(truth.never_sent(), missing);
    assert_eq!(truth.duplicated, twice);
    assert!(truth.lost.frames().0 > 0 && twice.frames().0 > 0 && truth.reordered.frames().0 > 0);
    assert_eq!(truth.pauses.len(), 1);
    assert_eq!((truth.frames.0, truth.datagrams), (PACKETS * 6, heard.len() as u64));

    let summary = json(&output);
    assert_eq!(summary["packets_sent"], times.len());
    assert_eq!(summary["packets_dropped"], truth.lost.frames().0 / 6);
    assert_eq!(summary["packets_paused"], 50);
    assert_eq!(summary["frames"], PACKETS * 6);
    assert_eq!(summary["first_timestamp"], 4_294_966_000_u32);
    assert_eq!(summary["ssrc"], 0xcafe);
    assert_eq!(summary["interrupted"], false);

    let session = sdp::Session::parse(std::fs::read(description).unwrap()).unwrap();
    assert_eq!(session.oddities, Vec::<String>::new());
    let flow = session.flow().unwrap();
    assert_eq!((flow.address.to_string(), flow.port.to_string()), ("127.0.0.1".into(), port));
    assert_eq!((flow.encoding, flow.channels.get(), flow.packet_frames), (Encoding::L24, 3, Some(6)));
    assert_eq!(session.origin.as_ref().unwrap().address, "127.0.0.1");
}

#[test]
fn a_seed_makes_the_same_run_again() {
    let run = |seed| {
        let ear = Ear::loopback();
        let port = ear.port();
        let command =
            ["send", "-m", "127.0.0.1", "-p", &port, "--tone", "1000", "--spp", "6", "--packets", "200"];
        let faults = ["--seed", seed, "--loss", "5%", "--reorder", "5%", "--duplicate", "5%"];
        finish(audyn(&command).args(faults).spawn().unwrap());
        ear.stop()
    };
    let first = run("12");
    assert!(first.len() > 150);
    assert!(first == run("12"));
    assert!(first != run("13"));
}

#[test]
fn a_group_on_lo_is_heard_there() {
    let group = Ipv4Addr::new(239, 255, 77, 3);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let ear = Ear::on(socket);
    for interface in ["lo", "127.0.0.1"] {
        let port = ear.port();
        let command = ["send", "-m", "239.255.77.3", "-p", &port, "--interface", interface, "--index"];
        finish(
            audyn(&command)
                .args(["--encoding", "l16", "--packets", "20", "--first-seq", "0"])
                .spawn()
                .unwrap(),
        );
    }
    let heard = ear.stop();
    let sequences: Vec<SeqNo> =
        heard.iter().map(|datagram| decode(Encoding::L16, datagram).0.sequence).collect();
    assert_eq!(sequences, (0..20).chain(0..20).map(SeqNo).collect::<Vec<_>>());
}

#[test]
fn a_file_is_sent_bit_for_bit_and_can_begin_again() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("audio.wav");
    let spec = WavSpec { rate: SampleRate::HZ_44100, channels: ChannelCount::STEREO, depth: PcmDepth::Pcm24 };
    let samples: Vec<i32> = (0..250).map(|n: i32| n.wrapping_mul(0x0765_4300)).collect(); // 125 frames
    let mut writer = WavWriter::create(&path, spec, &Facts::default()).unwrap();
    writer.append(&samples).unwrap();
    writer.close().unwrap();
    let file = path.to_str().unwrap();

    let ear = Ear::loopback();
    let port = ear.port();
    finish(audyn(&["send", "-m", "127.0.0.1", "-p", &port, "--file", file]).spawn().unwrap());
    let once: Vec<i32> = ear.stop().iter().flat_map(|datagram| decode(Encoding::L24, datagram).1).collect();
    assert_eq!(once.len(), 2 * 48 * 3, "three packets of 1 ms, as AES67 has it at 44.1 kHz");
    assert_eq!(once[..250], samples);
    assert!(once[250..].iter().all(|&sample| sample == 0));

    let ear = Ear::loopback();
    let port = ear.port();
    let command = ["send", "-m", "127.0.0.1", "-p", &port, "--file", file, "--loop", "--packets", "20"];
    finish(audyn(&command).spawn().unwrap());
    let looped: Vec<i32> = ear.stop().iter().flat_map(|datagram| decode(Encoding::L24, datagram).1).collect();
    assert_eq!(looped.len(), 2 * 48 * 20);
    assert!(looped.iter().zip(samples.iter().cycle()).all(|(a, b)| a == b));
}

#[test]
fn a_signal_ends_it_cleanly_and_the_truth_is_written() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scratch = tempfile::tempdir().unwrap();
        let truth = scratch.path().join("truth.json");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Not a judgement of time: a datagram that never comes shall fail the test instead of hanging it.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        let command = ["--json", "send", "-m", "127.0.0.1", "-p", &port, "--index", "--first-timestamp", "0"];
        // A delay that would outlast the run: what is held back leaves at the end.
        let child = audyn(&command)
            .args(["--delay-at", "48:9000", "--truth", truth.to_str().unwrap()])
            .spawn()
            .unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 2048];
        while heard.len() < 20 {
            let length = socket.recv(&mut buffer).unwrap();
            heard.push(decode(Encoding::L24, &buffer[..length]).0.timestamp);
        }
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let output = finish(child);
        let truth: Truth = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
        while (heard.len() as u64) < truth.datagrams {
            let length = socket.recv(&mut buffer).unwrap();
            heard.push(decode(Encoding::L24, &buffer[..length]).0.timestamp);
        }
        assert_eq!(heard.last(), Some(&RtpTime(48)), "the one that was held back");
        assert_eq!(truth.frames.0, truth.packets * 48);
        assert_eq!(json(&output)["interrupted"], true);
    }
}

/// Exit code and message of a call that must fail before a packet leaves.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = audyn(arguments).output().unwrap();
    assert!(output.stdout.is_empty(), "{arguments:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_be_meant_is_one_sentence_and_exit_code_2() {
    let scratch = tempfile::tempdir().unwrap();
    let truth = scratch.path().join("truth.json");
    let send = ["send", "-m", "239.1.2.3", "--index", "--packets", "1", "--truth", truth.to_str().unwrap()];
    let cases: &[(&[&str], &str)] = &[
        (&["--interface", "nosuch0"], "there is no interface nosuch0 with an IPv4 address; choose one of: "),
        (&["--interface", "192.0.2.77"], "there is no interface 192.0.2.77"),
        (&["-c", "11"], "payload of 1584 bytes"),
        (&["--spp", "500"], "500 frames a packet is outside 5 to 192"),
        (&["--encoding", "L16", "--stream-id", "512"], "give --stream-id 0 to 511"),
        (&["--pause", "0:1s", "--pause", "500ms:1s"], "let pauses follow one another"),
        (&["--reorder", "1%:20000"], "choose a shorter one"),
        (&["--truth", "-"], "is given more than once; give it once"),
    ];
    for (more, sentence) in cases {
        let (code, said) = refused(&[&send[..], more].concat());
        assert_eq!(code, 2, "{more:?}: {said}");
        assert!(said.starts_with("audyn: ") && said.contains(sentence), "{more:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{more:?}: {said}");
        assert!(!truth.exists(), "{more:?}");
    }
    let by_the_parser: &[&[&str]] = &[
        &["send", "-m", "239.1.2.3"],
        &["send", "-m", "nowhere", "--index"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "--tone", "5"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "--loss", "1"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "-c", "65"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "--pt", "128"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "-r", "88200"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "--level", "-3"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "--loop"],
        &["send", "-m", "239.1.2.3", "--tone", "1000", "--packets", "1", "--stream-id", "1"],
        &["send", "-m", "239.1.2.3", "--index", "--packets", "1", "--duration", "1"],
    ];
    for arguments in by_the_parser {
        assert_eq!(refused(arguments).0, 2, "{arguments:?}");
    }
    for (more, sentence) in [
        (["--duration", "0"], "--duration 0 sends nothing; give a time above 0"),
        (["--packets", "0"], "--packets 0 sends nothing; give 1 or more"),
        (["--truth", "-"], "--truth - is none"),
        (["--flow", "1"], "--flow chooses a stream of --pcap"),
        (["-c", "-1"], "audyn: --channels: \"-1\" is no number of channels; give 1 to 64"),
        (["--duration", "-5"], "audyn: --duration: \"-5\" is no time; give seconds"),
    ] {
        let (code, said) = refused(&[&["send", "-m", "239.1.2.3", "--index"][..], &more].concat());
        assert!(code == 2 && said.contains(sentence), "{more:?}: {said}");
    }
    assert_eq!(refused(&["send", "-m", "0.0.0.0", "--index", "--packets", "1"]).0, 2);
    assert_eq!(refused(&["send", "-m", "239.1.2.3", "--tone", "24000", "--packets", "1"]).0, 2);
}

#[test]
fn no_file_takes_the_place_of_another() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (mine, new) = (at("mine"), at("new"));
    std::fs::write(&mine, "the only one").unwrap();
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/none.pcap");
    for signal in [&["--tone", "1000"][..], &["--pcap", capture]] {
        for outputs in [["--sdp-out", &mine, "--truth", &new], ["--sdp-out", &new, "--truth", &mine]] {
            let outputs = if signal[0] == "--pcap" { &["--sdp-out", &mine][..] } else { &outputs };
            let send = ["send", "-m", "127.0.0.1", "-p", "9", "--packets", "1"];
            let (code, said) = refused(&[&send[..], signal, outputs].concat());
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("mine exists already and is left as it is; give another name"), "{said}");
        }
    }
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "the only one");
    // Where one of both cannot be made, the other is not left behind.
    let send = ["send", "-m", "127.0.0.1", "-p", "9", "--packets", "1", "--index"];
    let (code, said) = refused(&[&send[..], &["--truth", &new, "--sdp-out", &new]].concat());
    assert!(code == 2 && said.contains("--truth and --sdp-out name one file, "), "{said}");
    let (code, _) = refused(&[&send[..], &["--truth", &new, "--sdp-out", "/nonexistent/a.sdp"]].concat());
    assert_eq!(code, 1);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_floats_is_refused_since_no_encoding_would_keep_it() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("floats.wav");
    let spec =
        WavSpec { rate: SampleRate::HZ_48000, channels: ChannelCount::STEREO, depth: PcmDepth::Float32 };
    let mut writer = WavWriter::create(&path, spec, &Facts::default()).unwrap();
    writer.append(&[1; 96]).unwrap();
    writer.close().unwrap();
    let (code, said) = refused(&["send", "-m", "239.1.2.3", "--file", path.to_str().unwrap()]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("32-bit floats, of which L24 would cut bits off"), "{said}");
}

#[test]
fn what_fails_on_the_machine_is_one_sentence_and_exit_code_1() {
    let scratch = tempfile::tempdir().unwrap();
    let rubbish = scratch.path().join("rubbish.wav");
    std::fs::write(&rubbish, b"not audio").unwrap();
    let local = ["send", "-m", "127.0.0.1", "-p", "9", "--packets", "1"];
    for more in [
        ["--file", "/nonexistent/a.wav", "--name", "x"],
        ["--file", rubbish.to_str().unwrap(), "--name", "x"],
        ["--tone", "1000", "--truth", "/nonexistent/truth.json"],
        ["--tone", "1000", "--sdp-out", "/nonexistent/a.sdp"],
    ] {
        let (code, said) = refused(&[&local[..], &more[..]].concat());
        assert_eq!(code, 1, "{more:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{more:?}: {said}");
        assert!(said.contains("; give "), "{more:?}: {said}");
    }
}

#[test]
fn nobody_listening_stops_nothing() {
    // A port that was free a moment ago: the system answers each packet with a refusal.
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string();
    let command =
        ["--json", "send", "-m", "127.0.0.1", "-p", &port, "--tone", "440", "--spp", "6", "--packets", "50"];
    assert_eq!(json(&finish(audyn(&command).spawn().unwrap()))["packets_sent"], 50);
}

#[test]
fn timestamps_are_the_media_clock_where_they_shall_be() {
    let ear = Ear::loopback();
    let dir = tempfile::tempdir().unwrap();
    let sdp_file = dir.path().join("stream.sdp");
    let port = ear.port();
    let frames = || {
        let utc = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        // Where the kernel knows TAI − UTC, that goes before what is given by hand.
        let offset = audyn_daemon::tai_minus_utc(Some(37)).unwrap().to_duration();
        ((utc + offset).as_nanos() * 48_000 / 1_000_000_000) as u64
    };
    let before = frames();
    let sdp_out = sdp_file.to_str().unwrap();
    let arguments = ["send", "-m", "127.0.0.1", "-p", &port, "--index", "--packets", "2", "--media-clock"];
    let options = ["--tai-offset", "37", "--sdp-out", sdp_out];
    finish(audyn(&[&arguments[..], &options].concat()).spawn().unwrap());
    let after = frames();
    let heard = ear.stop();
    let first = decode(Encoding::L24, &heard[0]).0.timestamp;
    let since = u64::from(first.distance_from(RtpTime(before as u32)).unsigned_abs());
    assert!(
        since <= after - before,
        "{since} frames after it was started, which ended after {}",
        after - before
    );
    let session = sdp::Session::parse(std::fs::read(&sdp_file).unwrap()).unwrap();
    assert_eq!(session.flow().unwrap().media_clock_offset, Some(0));
}
