//! PTP hardware clocks: the clocks of network cards, which ptp4l leads and Audyn reads.
//!
//! Owns: finding the clock of an interface, opening it, reading it, and laying its time beside the machine's (a cross
//! stamp). Never: sets a clock, or changes what a card stamps; that is ptp4l's.
//!
//! ```text
//! cross stamp: the best that the driver can do, found once and kept
//!   PTP_SYS_OFFSET_PRECISE ─no─► PTP_SYS_OFFSET_EXTENDED ─no─► PTP_SYS_OFFSET ─no─► clock_gettime, bracketed
//! ```

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use audyn_units::{Mono, Nanos, Phc as PhcTime, Timestamp, Utc};
use nix::time::{ClockId, clock_gettime};

use crate::SysError;
use crate::clock::{ClockPair, mono_now};

const SECOND: i64 = 1_000_000_000;

/// Readings that one call of the driver takes; the narrowest is used.
const SAMPLES: usize = 5;

/// How a cross stamp was taken. Best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrossMethod {
    /// The hardware latched both clocks at once.
    Precise,
    /// The kernel read the system clock right before and after the card's register.
    Extended,
    /// The kernel read the system clock before and after calling the driver.
    Plain,
    /// Read by the clock's number, between two readings of the monotonic clock.
    Read,
}

/// What a card's clock and the machine's showed at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossStamp {
    /// The card's clock.
    pub phc: Timestamp<PhcTime>,
    /// CLOCK_MONOTONIC.
    pub mono: Timestamp<Mono>,
    /// CLOCK_REALTIME.
    pub utc: Timestamp<Utc>,
    /// Right to within ± this.
    pub uncertainty: Nanos,
    /// How it was taken.
    pub method: CrossMethod,
}

/// An open hardware clock.
#[derive(Debug)]
pub struct Phc {
    file: File,
    path: PathBuf,
    method: CrossMethod,
}

impl Phc {
    /// Opens a clock for reading, as `/dev/ptp0`.
    ///
    /// # Errors
    /// [`SysError::Phc`] if it isn't there, isn't a clock, or may not be read.
    pub fn open(path: &Path) -> Result<Self, SysError> {
        let failed = |source| SysError::Phc { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let is_device = file.metadata().map_err(failed)?.file_type().is_char_device();
        let phc = Self { file, path: path.to_owned(), method: CrossMethod::Precise };
        if !is_device {
            return Err(failed(io::Error::other("this is no device")));
        }
        phc.read().map_err(failed)?;
        Ok(phc)
    }

    /// Opens the clock with the kernel's number `index`: `/dev/ptpINDEX`.
    ///
    /// # Errors
    /// As [`Phc::open`].
    pub fn open_index(index: u32) -> Result<Self, SysError> {
        Self::open(&PathBuf::from(format!("/dev/ptp{index}")))
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its number, if the path says it.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        index_of(&self.path)
    }

    /// What it shows now, by its dynamic clock id.
    ///
    /// # Errors
    /// What the kernel says: `ENODEV` when the card has gone.
    pub fn read(&self) -> io::Result<Timestamp<PhcTime>> {
        let time = clock_gettime(dynamic_clock(self.file.as_raw_fd()))?;
        Ok(Timestamp::from_nanos(time.tv_sec() as i64 * SECOND + time.tv_nsec() as i64))
    }

    /// Lays its time beside the machine's.
    ///
    /// # Errors
    /// What the kernel says: `ENODEV` when the card has gone.
    pub fn cross_stamp(&mut self) -> io::Result<CrossStamp> {
        loop {
            let taken = match self.method {
                CrossMethod::Precise => self.precise(),
                CrossMethod::Extended => self.extended(),
                CrossMethod::Plain => self.plain(),
                CrossMethod::Read => return self.bracketed(),
            };
            match taken {
                Ok(stamp) => return Ok(stamp),
                // The card has gone; or the call is there and it was the system clock that did not stand still.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV) | None) => return Err(error),
                // The driver lacks it, or the sandbox forbids it; the next best from here on.
                Err(_) => {
                    self.method = match self.method {
                        CrossMethod::Precise => CrossMethod::Extended,
                        CrossMethod::Extended => CrossMethod::Plain,
                        CrossMethod::Plain | CrossMethod::Read => CrossMethod::Read,
                    }
                }
            }
        }
    }

    fn precise(&self) -> io::Result<CrossStamp> {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut told: libc::ptp_sys_offset_precise = unsafe { std::mem::zeroed() };
        let pair = self.calmly(|fd| {
            // SAFETY: the request writes one such struct, exclusively borrowed for the call.
            unsafe { libc::ioctl(fd, libc::PTP_SYS_OFFSET_PRECISE, &raw mut told) }
        })?;
        Ok(beside(&pair, nanos(told.device), nanos(told.sys_realtime), Nanos::ZERO, CrossMethod::Precise))
    }

    fn extended(&self) -> io::Result<CrossStamp> {
        // SAFETY: all-zero is a valid value of this plain C struct; its clock id 0 is CLOCK_REALTIME.
        let mut told: libc::ptp_sys_offset_extended = unsafe { std::mem::zeroed() };
        told.n_samples = SAMPLES as u32;
        let pair = self.calmly(|fd| {
            // SAFETY: the request reads and writes one such struct, exclusively borrowed for the call.
            unsafe { libc::ioctl(fd, libc::PTP_SYS_OFFSET_EXTENDED, &raw mut told) }
        })?;
        let brackets = told.ts.iter().take(SAMPLES).map(|&[before, phc, after]| Bracket {
            before: nanos(before),
            phc: nanos(phc),
            after: nanos(after),
        });
        narrowest(&pair, brackets, CrossMethod::Extended)
    }

    fn plain(&self) -> io::Result<CrossStamp> {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut told: libc::ptp_sys_offset = unsafe { std::mem::zeroed() };
        told.n_samples = SAMPLES as u32;
        let pair = self.calmly(|fd| {
            // SAFETY: the request reads and writes one such struct, exclusively borrowed for the call.
            unsafe { libc::ioctl(fd, libc::PTP_SYS_OFFSET, &raw mut told) }
        })?;
        // System and card in turn, the system's once more at the end.
        let brackets = (0..SAMPLES).map(|n| Bracket {
            before: nanos(told.ts[2 * n]),
            phc: nanos(told.ts[2 * n + 1]),
            after: nanos(told.ts[2 * n + 2]),
        });
        narrowest(&pair, brackets, CrossMethod::Plain)
    }

    fn bracketed(&self) -> io::Result<CrossStamp> {
        let mut best: Option<CrossStamp> = None;
        for _ in 0..SAMPLES {
            let (before, phc, after) = (mono_now(), self.read()?, mono_now());
            let half = Nanos((after - before).0 / 2);
            if best.is_none_or(|best| half < best.uncertainty) {
                let mono = before + half;
                let utc = ClockPair::sample().to_utc(mono);
                best = Some(CrossStamp { phc, mono, utc, uncertainty: half, method: CrossMethod::Read });
            }
        }
        best.ok_or_else(|| io::Error::other("no reading"))
    }

    /// Makes a call that stamps CLOCK_REALTIME, and gives the link from that to the monotonic clock; again if the former was
    /// set meanwhile.
    fn calmly(&self, mut call: impl FnMut(RawFd) -> libc::c_int) -> io::Result<ClockPair> {
        /// More than a slew of 500 ppm makes in the time of such a call.
        const CALM: Nanos = Nanos::from_micros(20);
        for _ in 0..4 {
            let before = ClockPair::sample();
            if call(self.file.as_raw_fd()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let after = ClockPair::sample();
            if (after.offset - before.offset).abs() <= CALM + before.uncertainty + after.uncertainty {
                return Ok(after);
            }
        }
        Err(io::Error::other("the system clock does not stand still"))
    }
}

/// FD_TO_CLOCKID of the kernel's posix-timers.h: the complement of the descriptor, and CLOCKFD (3) below it.
fn dynamic_clock(fd: RawFd) -> ClockId {
    ClockId::from_raw((!fd << 3) | 3)
}

fn index_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("ptp")?.parse().ok()
}

fn nanos(time: libc::ptp_clock_time) -> i64 {
    time.sec * SECOND + i64::from(time.nsec)
}

/// A reading of the card's clock between two of the system's.
#[derive(Debug, Clone, Copy)]
struct Bracket {
    before: i64,
    phc: i64,
    after: i64,
}

fn beside(pair: &ClockPair, phc: i64, utc: i64, half: Nanos, method: CrossMethod) -> CrossStamp {
    let utc = Timestamp::from_nanos(utc);
    CrossStamp {
        phc: Timestamp::from_nanos(phc),
        mono: pair.to_mono(utc),
        utc,
        uncertainty: half + pair.uncertainty,
        method,
    }
}

fn narrowest(
    pair: &ClockPair,
    brackets: impl Iterator<Item = Bracket>,
    method: CrossMethod,
) -> io::Result<CrossStamp> {
    // A bracket that runs backwards spans a step.
    let sane = brackets.filter(|bracket| bracket.after >= bracket.before);
    let best = sane.min_by_key(|bracket| bracket.after - bracket.before);
    let best = best.ok_or_else(|| io::Error::other("the system clock was set meanwhile"))?;
    let half = (best.after - best.before) / 2;
    Ok(beside(pair, best.phc, best.before + half, Nanos(half), method))
}

/// What an interface can stamp, as `ethtool -T` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InterfaceStamps {
    /// The number of its clock; none if it has none.
    pub phc: Option<u32>,
    /// It can stamp what it receives by that clock.
    pub hardware_receive: bool,
    /// It can stamp every packet, and not PTP's alone.
    pub every_packet: bool,
}

/// The kernel's `struct ethtool_ts_info`.
#[repr(C)]
#[derive(Default)]
struct TsInfo {
    cmd: u32,
    so_timestamping: u32,
    phc_index: i32,
    tx_types: u32,
    tx_reserved: [u32; 3],
    rx_filters: u32,
    rx_reserved: [u32; 3],
}

const _: () = assert!(size_of::<TsInfo>() == 44, "as in linux/ethtool.h");

impl TsInfo {
    const COMMAND: u32 = 0x41;
    /// HWTSTAMP_FILTER_ALL
    const FILTER_ALL: u32 = 1;

    fn told(&self) -> InterfaceStamps {
        let has = |bits: u32| self.so_timestamping & bits == bits;
        InterfaceStamps {
            phc: u32::try_from(self.phc_index).ok(),
            hardware_receive: has(libc::SOF_TIMESTAMPING_RX_HARDWARE | libc::SOF_TIMESTAMPING_RAW_HARDWARE),
            every_packet: self.rx_filters >> Self::FILTER_ALL & 1 == 1,
        }
    }
}

/// Asks what an interface can stamp (ETHTOOL_GET_TS_INFO). An interface without any of it answers so, or not at all.
///
/// # Errors
/// [`SysError::InterfaceStamps`] if the question can't be asked.
pub fn interface_stamps(name: &str) -> Result<InterfaceStamps, SysError> {
    let failed = |source| SysError::InterfaceStamps { interface: name.to_owned(), source };
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM.cloexec(), None);
    let socket = socket.map_err(failed)?;
    let mut info = TsInfo { cmd: TsInfo::COMMAND, ..TsInfo::default() };
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(failed(io::Error::from_raw_os_error(libc::ENODEV)));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    // SAFETY: the request reads the name and follows `ifru_data` to `info`, of which it writes the 44 bytes that its command
    // stands for; both outlive the call and are borrowed by nobody else.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result == 0 {
        return Ok(info.told());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => Ok(InterfaceStamps::default()),
        _ => Err(failed(error)),
    }
}

/// Whether the kernel holds its clock for synchronised (by NTP or the like); none if this process may not ask.
///
/// Asks `adjtimex(2)` and changes nothing. systemd's ProtectClock= forbids the call whole, since it also sets.
#[must_use]
pub fn kernel_synchronised() -> Option<bool> {
    // SAFETY: all-zero is a valid value of this plain C struct; modes 0 asks.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes one such struct, exclusively borrowed.
    let result = unsafe { libc::adjtimex(&raw mut state) };
    (result >= 0).then_some(result != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> ClockPair {
        ClockPair { at: Timestamp::from_nanos(1_000), offset: Nanos(9_000), uncertainty: Nanos(3) }
    }

    #[test]
    fn the_narrowest_bracket_is_believed_and_one_that_runs_backwards_never() {
        let brackets = [
            Bracket { before: 10_000, phc: 37_000, after: 10_400 },
            Bracket { before: 11_000, phc: 38_020, after: 11_100 },
            Bracket { before: 12_000, phc: 39_000, after: 11_000 },
        ];
        let stamp = narrowest(&pair(), brackets.into_iter(), CrossMethod::Extended).unwrap();
        assert_eq!(stamp.phc, Timestamp::from_nanos(38_020));
        assert_eq!(stamp.utc, Timestamp::from_nanos(11_050));
        assert_eq!(stamp.mono, Timestamp::from_nanos(2_050));
        assert_eq!(stamp.uncertainty, Nanos(53));
        assert!(narrowest(&pair(), brackets[2..].iter().copied(), CrossMethod::Plain).is_err());
    }

    #[test]
    fn the_number_of_a_clock_is_that_of_the_kernels_macro() {
        // FD_TO_CLOCKID(3) = ((~3) << 3) | 3
        assert_eq!(dynamic_clock(3).as_raw(), -29);
        assert_eq!(index_of(Path::new("/dev/ptp12")), Some(12));
        assert_eq!(index_of(Path::new("/dev/ptp-eth0")), None);
    }

    #[test]
    fn a_loopback_has_no_clock() {
        let stamps = interface_stamps("lo").unwrap();
        assert_eq!(stamps.phc, None);
        assert!(!stamps.hardware_receive);
        for wrong in ["", "nosuch0", "a-name-that-is-far-too-long"] {
            let error = interface_stamps(wrong).unwrap_err().to_string();
            assert!(error.contains("stamp"), "{error}");
        }
    }

    #[test]
    fn what_a_card_can_is_read_from_its_answer() {
        let card = TsInfo { so_timestamping: 0x7f, phc_index: 2, rx_filters: 0b11, ..TsInfo::default() };
        let all = InterfaceStamps { phc: Some(2), hardware_receive: true, every_packet: true };
        assert_eq!(card.told(), all);
        let ptp_only = TsInfo { rx_filters: 0b1001, ..card };
        assert!(!ptp_only.told().every_packet);
        assert_eq!(TsInfo { phc_index: -1, ..TsInfo::default() }.told(), InterfaceStamps::default());
    }

    #[test]
    fn what_is_no_clock_is_refused() {
        for wrong in ["/dev/ptp-that-is-not-there", "/dev/null", "/proc/self/stat"] {
            let error = Phc::open(Path::new(wrong)).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn asking_whether_the_clock_is_synchronised_changes_nothing() {
        let before = kernel_synchronised();
        assert_eq!(before.is_some(), kernel_synchronised().is_some());
    }
}
