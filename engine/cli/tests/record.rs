//! `audyn record` as a user runs it, whose output nobody reads: the recording must not notice.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy exempts only test functions themselves"
)]

use std::io::{PipeReader, PipeWriter, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use audyn_core::sender::{Config, Format, Impairments, Index, Sender};
use audyn_media::{PcmDepth, WavReader};
use audyn_units::{ChannelCount, Encoding, PayloadType, RtpTime, SampleRate, SeqNo, Ssrc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Frames of the recordings with a limit: half a second.
const LIMIT: u64 = 24_000;

/// A stereo stream to a port of this machine.
struct Stream {
    sender: Sender,
    signal: Index,
    socket: UdpSocket,
    port: u16,
}

impl Stream {
    fn new() -> Self {
        Self::of(Encoding::L24)
    }

    fn of(encoding: Encoding) -> Self {
        let format = Format {
            encoding,
            rate: SampleRate::HZ_48000,
            channels: ChannelCount::STEREO,
            packet_frames: 48,
        };
        let sender = Sender::new(Config {
            format,
            payload_type: PayloadType::DYNAMIC,
            ssrc: Ssrc(1),
            first_sequence: SeqNo(0),
            first_timestamp: RtpTime(0),
            packets: None,
            seed: 1,
            impairments: Impairments::default(),
        })
        .unwrap();
        // Free just now; the recorder takes it next.
        let port =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).unwrap().port();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { sender, signal: Index { stream: 1, encoding }, socket, port }
    }

    /// Sends 10 ms and waits as long; nobody listens before the recorder is up, and that is no error.
    fn go_on(&mut self) {
        for _ in 0..10 {
            let Ok(outgoing) = self.sender.next(&mut self.signal);
            for datagram in outgoing.unwrap().datagrams() {
                let _ = self.socket.send_to(datagram, (Ipv4Addr::LOCALHOST, self.port));
            }
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }

    /// Sends until something is so; the deadline is only there for what will never be.
    fn until(&mut self, what: &str, mut so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !so() {
            assert!(Instant::now() < deadline, "never came: {what}");
            self.go_on();
        }
    }
}

/// A child that does not outlive a test that failed.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Guard {
    fn ended(&mut self, stream: &mut Stream) -> ExitStatus {
        let mut status = None;
        stream.until("the end of audyn record", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

/// A pipe that is full; it is never read as long as its reader is kept.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETPIPE_SZ).unwrap();
    writer.write_all(&vec![b'.'; size as usize]).unwrap();
    (reader, writer)
}

fn record(port: u16, file: &Path, more: &[&str], out: impl Into<Stdio>, err: impl Into<Stdio>) -> Guard {
    let child = Command::new(env!("CARGO_BIN_EXE_audyn"))
        .args(["record", "-m", "127.0.0.1", "-p", &port.to_string(), "--levels", "--levels-interval", "10"])
        .arg("-o")
        .arg(file)
        .args(more)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .unwrap();
    Guard(child)
}

fn frames(file: &Path) -> u64 {
    WavReader::open(file).unwrap().info().frames.0
}

#[test]
fn nobody_reads_the_levels_and_the_recording_is_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("full.wav");
    let mut stream = Stream::new();
    let ((_out, stdout), (_err, stderr)) = (full_pipe(), full_pipe());
    let mut child = record(stream.port, &file, &["-vv", "--duration", "500ms"], stdout, stderr);
    assert!(child.ended(&mut stream).success());
    assert_eq!(frames(&file), LIMIT);
}

#[test]
fn floats_are_written_where_32_bits_are_asked_for_and_the_file_tells_who_wrote_it() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("floats.wav");
    let mut stream = Stream::new();
    let more = ["--duration", "500ms", "--bits", "32"];
    let mut child = record(stream.port, &file, &more, Stdio::null(), Stdio::null());
    assert!(child.ended(&mut stream).success());
    let mut reader = WavReader::open(&file).unwrap();
    assert_eq!((reader.info().spec.depth, frames(&file)), (PcmDepth::Float32, LIMIT));
    let facts = reader.facts().unwrap().unwrap();
    assert_eq!(facts.originator, concat!("Audyn ", env!("CARGO_PKG_VERSION")));
    let ledger = std::fs::read_to_string(file.with_extension("wav.gaps.jsonl")).unwrap();
    let header: serde_json::Value = serde_json::from_str(ledger.lines().next().unwrap()).unwrap();
    assert_eq!((Some(facts.first.0), &header["bits"]), (header["first_position"].as_u64(), &32.into()));
}

#[test]
fn the_reader_of_the_levels_dies_and_the_recording_is_whole() {
    for json in [&[][..], &["--json"]] {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("closed.wav");
        let mut stream = Stream::new();
        let ((out, stdout), (err, stderr)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        drop((out, err));
        let more = [json, &["-vv", "--duration", "500ms"]].concat();
        let mut child = record(stream.port, &file, &more, stdout, stderr);
        assert!(child.ended(&mut stream).success());
        assert_eq!(frames(&file), LIMIT);
    }
}

#[test]
fn ctrl_c_ends_a_recording_whose_levels_nobody_reads() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("stopped.wav");
    let mut stream = Stream::new();
    let (_out, stdout) = full_pipe();
    let mut child = record(stream.port, &file, &[], stdout, Stdio::null());
    stream.until("audio in the file", || WavReader::open(&file).is_ok_and(|file| file.info().frames.0 > 0));
    kill(Pid::from_raw(child.0.id() as i32), Signal::SIGINT).unwrap();
    assert!(child.ended(&mut stream).success());
    assert!(frames(&file) > 0);
}

/// The sender dies and the recording ends in its silence, by itself or by Ctrl-C: what is told is what stands in the file.
#[test]
fn a_gap_that_goes_on_at_the_end_counts_as_far_as_the_file_reaches() {
    for limit in [Some("2500ms"), None] {
        let scratch = tempfile::tempdir().unwrap();
        let (file, out) = (scratch.path().join("ends.wav"), scratch.path().join("out"));
        let mut stream = Stream::new();
        let mut more = vec!["--json"];
        more.extend(limit.iter().flat_map(|limit| ["--duration", limit]));
        let mut child =
            record(stream.port, &file, &more, std::fs::File::create(&out).unwrap(), Stdio::null());
        stream
            .until("audio in the file", || WavReader::open(&file).is_ok_and(|file| file.info().frames.0 > 0));
        let ledger = file.with_extension("wav.gaps.jsonl");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !std::fs::read_to_string(&ledger).is_ok_and(|text| text.contains(r#""open":true"#)) {
            assert!(Instant::now() < deadline, "the gap was never entered");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        if limit.is_none() {
            kill(Pid::from_raw(child.0.id() as i32), Signal::SIGINT).unwrap();
        }
        assert!(child.0.wait().unwrap().success());

        let said = std::fs::read_to_string(&out).unwrap();
        let told: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let (filled, counters) = (told["frames_filled"].as_u64().unwrap(), &told["counters"]);
        assert_eq!(told["frames_written"].as_u64().unwrap() + filled, frames(&file), "{told}");
        let gaps = told["gaps"].as_array().unwrap();
        let in_gaps: u64 = gaps.iter().map(|gap| gap["frames"].as_u64().unwrap()).sum();
        assert!(!gaps.is_empty() && filled > 0, "{told}");
        assert_eq!(
            (in_gaps, counters["lost_frames"].as_u64(), counters["gaps"].as_u64()),
            (filled, Some(filled), Some(gaps.len() as u64)),
            "{told}"
        );
    }
}

#[test]
fn a_wish_to_end_that_is_said_twice_closes_the_file_all_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("twice.wav");
    let mut stream = Stream::new();
    let mut child = record(stream.port, &file, &[], Stdio::null(), Stdio::null());
    stream.until("audio in the file", || WavReader::open(&file).is_ok_and(|file| file.info().frames.0 > 0));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        kill(Pid::from_raw(child.0.id() as i32), signal).unwrap();
    }
    assert!(child.ended(&mut stream).success());
    let ledger = std::fs::read_to_string(file.with_extension("wav.gaps.jsonl")).unwrap();
    assert!(ledger.lines().last().unwrap().contains(r#""closed":true"#), "{ledger}");
}

#[test]
fn what_could_only_come_to_nothing_is_refused_at_once() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (song, take) = (at("song.mp3"), at("take.wav"));
    for (options, sentence) in [
        (&["-o", &song][..], "the name of -o ends in .mp3, and no such file is written"),
        (&["-o", &take, "--duration", "0"], "records nothing; give a time above 0"),
        (&["-o", &take, "--duration", "0.00001"], "records nothing; give a time above 0"),
        (&["-o", &take, "--rcvbuf", "0"], "--rcvbuf: \"0\" is no receive buffer in bytes; give 65536 to"),
    ] {
        let command = ["record", "-m", "127.0.0.1", "--interface", "lo"];
        let output = Command::new(env!("CARGO_BIN_EXE_audyn")).args(command).args(options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(sentence), "{options:?}: {said}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

/// 16 bits in a file of 24 are the upper ones.
#[test]
fn l16_is_recorded_in_24_bits_where_they_are_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("deep.wav");
    let mut stream = Stream::of(Encoding::L16);
    let more = ["--duration", "500ms", "--encoding", "L16", "--bits", "24"];
    let mut child = record(stream.port, &file, &more, Stdio::null(), Stdio::null());
    assert!(child.ended(&mut stream).success());
    let mut reader = WavReader::open(&file).unwrap();
    assert_eq!((reader.info().spec.depth, reader.info().frames.0), (PcmDepth::Pcm24, LIMIT));
    let mut samples = vec![0; LIMIT as usize * 2];
    reader.read(&mut samples).unwrap();
    assert!(samples.iter().any(|sample| *sample != 0) && samples.iter().all(|sample| sample & 0xffff == 0));
}

#[test]
fn a_leg_whose_interface_is_not_there_is_told_and_the_other_is_recorded() {
    for second in [true, false] {
        let scratch = tempfile::tempdir().unwrap();
        let (file, errors) = (scratch.path().join("one-leg.wav"), scratch.path().join("errors"));
        let mut stream = Stream::new();
        let there = format!("127.0.0.1:{}@lo", stream.port);
        let (port, more): (u16, &[&str]) = if second {
            (stream.port, &["--interface", "lo", "--second-leg", "127.0.0.1:5004@nosuch0"])
        } else {
            (5004, &["--interface", "nosuch0", "--second-leg", &there])
        };
        let more = [more, &["--duration", "500ms"]].concat();
        let mut child = record(port, &file, &more, Stdio::null(), std::fs::File::create(&errors).unwrap());
        assert!(child.ended(&mut stream).success());
        assert_eq!(frames(&file), LIMIT);
        let said = std::fs::read_to_string(&errors).unwrap();
        let wanted =
            "the leg to 127.0.0.1:5004 is not received: there is no network interface named \"nosuch0\"";
        assert_eq!(said.matches(wanted).count(), 1, "{said}");
    }
}

/// A description of two legs whose lines 7 and 12 disagree.
fn legs_of_two_encodings(port: u16) -> String {
    let leg = |encoding: &str, port: u16, mid: &str| {
        format!(
            "m=audio {port} RTP/AVP 96\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:96 {encoding}/48000/2\r\na=ptime:1\r\na=mid:{mid}\r\n"
        )
    };
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Air\r\na=group:DUP a b\r\n";
    format!("{head}{}{}", leg("L24", port, "a"), leg("L16", 5_004, "b"))
}

#[test]
fn legs_that_contradict_each_other_are_refused_and_one_alone_is_recorded() {
    let scratch = tempfile::tempdir().unwrap();
    let (sdp, file) = (scratch.path().join("air.sdp"), scratch.path().join("air.wav"));
    let mut stream = Stream::new();
    std::fs::write(&sdp, legs_of_two_encodings(stream.port)).unwrap();
    let command = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audyn"));
        command.arg("record").arg(&sdp).arg("-o").arg(&file).args([
            "--interface",
            "lo",
            "--duration",
            "500ms",
        ]);
        command.args(more).stdin(Stdio::null());
        command
    };
    let refused = command(&[]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    let wanted = format!(
        "audyn: {} cannot be used: the description contradicts itself about the legs of the stream: encoding L24 by line 7 and L16 by line \
         12, and legs carry the same packets (ST 2022-7); ask the sender for its SDP again, or record its first stream alone by \
         --second-leg none\n",
        sdp.display()
    );
    assert_eq!((refused.status.code(), said), (Some(2), wanted));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing but the description");

    let mut child = Guard(
        command(&["--second-leg", "none"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
    );
    assert!(child.ended(&mut stream).success());
    assert_eq!(frames(&file), LIMIT);
}

#[test]
fn a_clock_that_was_named_and_is_not_there_is_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("never.wav");
    let refused = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_audyn"))
            .args(["record", "-m", "239.1.2.3", "-o"])
            .arg(&file)
            .args(options)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--ptp-device", "/dev/ptp-not-there"]).contains("/dev/ptp-not-there"));
    assert!(refused(&["--ptp-device", "/dev/null"]).contains("/dev/null"));
    assert!(refused(&["--ptp-interface", "nosuch0"]).contains("nosuch0"));
    assert!(refused(&["--ptp-software", "--ptp-device", "/dev/ptp0"]).contains("cannot be used with"));
    assert!(!file.exists());
}
