//! A stand-in for ptp4l in tests: answers questions at a socket with what the test sets.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use audyn_core::judge::{PortTold, PtpTold};
use audyn_wire::ptp::{
    Announced, Answer, Body, ClockIdentity, CurrentDataSet, DataSet, DefaultDataSet, ManagementError,
    ParentDataSet, PortDataSet, PortIdentity, PortPropertiesNp, PortState, Stamping, TimePropertiesDataSet,
    TimeStatusNp,
};

pub(super) const GRANDMASTER: ClockIdentity = ClockIdentity([0, 0x1d, 0xc1, 0xff, 0xfe, 1, 2, 3]);

/// A client with one port and software stamps that follows [`GRANDMASTER`], in this domain.
pub(super) fn following(domain: u8) -> PtpTold {
    PtpTold {
        clock: ClockIdentity([2, 0, 0, 0xff, 0xfe, 0, 0, 9]),
        domain,
        ports: vec![PortTold {
            number: 1,
            state: PortState::Uncalibrated,
            stamping: Some(Stamping::Software),
            interface: "eth9".to_owned(),
        }],
        grandmaster: Announced { clock: GRANDMASTER, ..Announced::default() },
        steps_removed: 1,
        ingress: 1,
        time: TimePropertiesDataSet {
            utc_offset: 37,
            utc_valid: true,
            ptp_timescale: true,
            ..TimePropertiesDataSet::default()
        },
        path_delay: audyn_units::Nanos(2_000),
        ..PtpTold::default()
    }
}

/// What it does besides answering.
#[derive(Default)]
pub(super) struct Habits {
    /// It doesn't know linuxptp's own data sets.
    pub(super) foreign: bool,
    /// Rubbish and an answer to nobody's question go before each answer.
    pub(super) babbles: bool,
    /// It hears and says nothing.
    pub(super) mute: AtomicBool,
}

pub(super) struct FakePtp {
    pub(super) told: Arc<Mutex<PtpTold>>,
    pub(super) habits: Arc<Habits>,
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakePtp {
    pub(super) fn start(path: &Path, told: PtpTold, habits: Habits) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (told, habits) = (Arc::new(Mutex::new(told)), Arc::new(habits));
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, answers, ways) = (Arc::clone(&stop), Arc::clone(&told), Arc::clone(&habits));
        let thread = std::thread::spawn(move || {
            let mut bytes = [0; 256];
            while !stopped.load(Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
                let told = answers.lock().unwrap().clone();
                if length < 54 || ways.mute.load(Relaxed) || bytes[4] != told.domain {
                    continue;
                }
                let sequence = u16::from_be_bytes([bytes[30], bytes[31]]);
                let id = u16::from_be_bytes([bytes[52], bytes[53]]);
                let send = |sequence: u16, body: Body<'_>| {
                    let source = PortIdentity { clock: told.clock, port: 0 };
                    let mut out = [0; 512];
                    let length =
                        Answer { domain: told.domain, source, sequence, body }.write(&mut out).unwrap();
                    let _ = socket.send_to_addr(&out[..length], &from);
                };
                if ways.babbles {
                    let _ = socket.send_to_addr(b"rubbish", &from);
                    send(sequence.wrapping_sub(1), Body::Other(0x7777));
                }
                for body in bodies(&told, id, ways.foreign) {
                    send(sequence, body);
                }
            }
        });
        Self { told, habits, path: path.to_owned(), stop, thread: Some(thread) }
    }
}

fn bodies(told: &PtpTold, id: u16, foreign: bool) -> Vec<Body<'_>> {
    let refused = || vec![Body::Refused { id, why: ManagementError::NoSuchId }];
    let identity = |port: &PortTold| PortIdentity { clock: told.clock, port: port.number };
    match DataSet::of(id) {
        Some(DataSet::Default) => vec![Body::Default(DefaultDataSet {
            client_only: true,
            ports: told.ports.len() as u16,
            clock: Announced { clock: told.clock, ..Announced::default() },
            domain: told.domain,
            ..DefaultDataSet::default()
        })],
        Some(DataSet::Current) => vec![Body::Current(CurrentDataSet {
            steps_removed: told.steps_removed,
            offset: told.offset,
            path_delay: told.path_delay,
        })],
        Some(DataSet::Parent) => {
            vec![Body::Parent(ParentDataSet { grandmaster: told.grandmaster, ..ParentDataSet::default() })]
        }
        Some(DataSet::TimeProperties) => vec![Body::TimeProperties(told.time)],
        Some(DataSet::Port) => {
            let port = |port: &PortTold| {
                Body::Port(PortDataSet { port: identity(port), state: port.state, ..PortDataSet::default() })
            };
            told.ports.iter().map(port).collect()
        }
        Some(DataSet::TimeStatusNp | DataSet::PortPropertiesNp) if foreign => refused(),
        Some(DataSet::TimeStatusNp) => vec![Body::TimeStatusNp(TimeStatusNp {
            offset: told.offset,
            ingress: told.ingress,
            grandmaster_present: true,
            grandmaster: told.grandmaster.clock,
        })],
        Some(DataSet::PortPropertiesNp) => {
            let mut all = Vec::new();
            for port in &told.ports {
                all.push(Body::PortPropertiesNp(PortPropertiesNp {
                    port: identity(port),
                    state: port.state,
                    stamping: port.stamping.unwrap_or_default(),
                    interface: &port.interface,
                }));
            }
            all
        }
        None => refused(),
    }
}

impl Drop for FakePtp {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}
