//! The data sets of a clock, as management messages carry them.

use audyn_units::Nanos;

use super::{ClockIdentity, PortIdentity, PtpError, Reader, Writer};

/// What a question or an answer is about: a management identifier (IEEE 1588-2019 table 59; from 0xC000 on, linuxptp's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum DataSet {
    /// The clock itself.
    Default = 0x2000,
    /// Its distance from the grandmaster, in hops and in time.
    Current = 0x2001,
    /// The clock that it follows, and the grandmaster at the end of the chain.
    Parent = 0x2002,
    /// The grandmaster's time scale and its offset from UTC.
    TimeProperties = 0x2003,
    /// A port. A clock with several answers once for each.
    Port = 0x2004,
    /// linuxptp: the last measurement.
    TimeStatusNp = 0xc000,
    /// linuxptp: a port's network interface and kind of time stamps. A clock with several ports answers once for each.
    PortPropertiesNp = 0xc004,
}

impl DataSet {
    /// All that are read, the one about the clock itself first.
    pub const ALL: [Self; 7] = [
        Self::Default,
        Self::Current,
        Self::Parent,
        Self::TimeProperties,
        Self::Port,
        Self::TimeStatusNp,
        Self::PortPropertiesNp,
    ];

    /// The identifier on the wire.
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// The one with this identifier.
    pub fn of(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.id() == id)
    }
}

/// How good a grandmaster says that it is (§7.6.2.5 to 7.6.3.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrandmasterQuality {
    /// 6: locked to a source of time (GPS, say); 7: was, and holds over; 248: has never known the time of day.
    pub class: u8,
    /// 0x20 is 25 ns, 0x21 100 ns …; 0xFE unknown.
    pub accuracy: u8,
    /// How steady it is, in the standard's logarithmic measure.
    pub log_variance: u16,
}

impl GrandmasterQuality {
    fn read(from: &mut Reader<'_>) -> Result<Self, PtpError> {
        Ok(Self { class: from.u8()?, accuracy: from.u8()?, log_variance: from.u16()? })
    }

    fn write(self, to: &mut Writer<'_>) {
        to.put(&[self.class, self.accuracy]);
        to.put(&self.log_variance.to_be_bytes());
    }
}

/// A clock with the values by which the best grandmaster is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    /// Whose.
    pub clock: ClockIdentity,
    /// Set by a person; lower wins, before everything else.
    pub priority1: u8,
    /// How good it is.
    pub quality: GrandmasterQuality,
    /// Set by a person; lower wins among equals.
    pub priority2: u8,
}

/// DEFAULT_DATA_SET (§15.5.3.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DefaultDataSet {
    /// It never becomes a grandmaster itself (slaveOnly).
    pub client_only: bool,
    /// It corrects twice (twoStepFlag): follow-up messages carry its times.
    pub two_step: bool,
    /// How many ports it has.
    pub ports: u16,
    /// The clock itself.
    pub clock: Announced,
    /// The domain that it takes part in.
    pub domain: u8,
}

impl DefaultDataSet {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, PtpError> {
        let flags = from.u8()?;
        from.u8()?;
        let ports = from.u16()?;
        let priority1 = from.u8()?;
        let quality = GrandmasterQuality::read(from)?;
        let priority2 = from.u8()?;
        let clock = Announced { clock: from.clock()?, priority1, quality, priority2 };
        let domain = from.u8()?;
        from.u8()?;
        Ok(Self { client_only: flags & 2 != 0, two_step: flags & 1 != 0, ports, clock, domain })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.put(&[u8::from(self.two_step) | u8::from(self.client_only) << 1, 0]);
        to.put(&self.ports.to_be_bytes());
        to.put(&[self.clock.priority1]);
        self.clock.quality.write(to);
        to.put(&[self.clock.priority2]);
        to.clock(self.clock.clock);
        to.put(&[self.domain, 0]);
    }
}

/// CURRENT_DATA_SET (§15.5.3.4.1). Times are rounded to whole nanoseconds; the wire has 1/65,536 of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CurrentDataSet {
    /// Hops to the grandmaster.
    pub steps_removed: u16,
    /// This clock − its master.
    pub offset: Nanos,
    /// Half of the way to the master and back.
    pub path_delay: Nanos,
}

/// A TimeInterval (§5.3.2).
fn interval(from: &mut Reader<'_>) -> Result<Nanos, PtpError> {
    Ok(Nanos(from.i64()? >> 16))
}

impl CurrentDataSet {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, PtpError> {
        Ok(Self { steps_removed: from.u16()?, offset: interval(from)?, path_delay: interval(from)? })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.put(&self.steps_removed.to_be_bytes());
        // Only 48 bits of whole nanoseconds (39 hours) fit; what is longer is cut at the top.
        to.put(&(self.offset.0 << 16).to_be_bytes());
        to.put(&(self.path_delay.0 << 16).to_be_bytes());
    }
}

/// PARENT_DATA_SET (§15.5.3.5.1), without the parent's statistics, which nobody keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParentDataSet {
    /// The port that is followed: the grandmaster's, or that of a boundary clock on the way.
    pub parent: PortIdentity,
    /// The grandmaster. ptp4l goes on to tell of one that is gone: believe the port's state, not this.
    pub grandmaster: Announced,
}

impl ParentDataSet {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, PtpError> {
        let parent = from.port()?;
        // parentStats, reserved, variance, phase change rate.
        from.take::<8>()?;
        let priority1 = from.u8()?;
        let quality = GrandmasterQuality::read(from)?;
        let priority2 = from.u8()?;
        Ok(Self { parent, grandmaster: Announced { clock: from.clock()?, priority1, quality, priority2 } })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.port(self.parent);
        // Variance and phase change rate are "not computed" (§8.2.3.3, §8.2.3.4).
        to.put(&[0, 0, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        to.put(&[self.grandmaster.priority1]);
        self.grandmaster.quality.write(to);
        to.put(&[self.grandmaster.priority2]);
        to.clock(self.grandmaster.clock);
    }
}

/// TIME_PROPERTIES_DATA_SET (§15.5.3.6.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimePropertiesDataSet {
    /// TAI − UTC in seconds; means something only with [`TimePropertiesDataSet::utc_valid`].
    pub utc_offset: i16,
    /// The grandmaster knows the offset.
    pub utc_valid: bool,
    /// The last minute of the day has 61 seconds.
    pub leap_61: bool,
    /// The last minute of the day has 59 seconds.
    pub leap_59: bool,
    /// The time is PTP's own scale, TAI; otherwise it began anywhere (§7.2.1).
    pub ptp_timescale: bool,
    /// The time comes from a primary reference.
    pub time_traceable: bool,
    /// The pace does.
    pub frequency_traceable: bool,
    /// 0x20 GNSS, 0x50 NTP, 0xA0 an oscillator … (table 6).
    pub source: u8,
}

impl TimePropertiesDataSet {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, PtpError> {
        let utc_offset = from.i16()?;
        let flags = from.u8()?;
        let flag = |bit: u8| flags >> bit & 1 == 1;
        Ok(Self {
            utc_offset,
            leap_61: flag(0),
            leap_59: flag(1),
            utc_valid: flag(2),
            ptp_timescale: flag(3),
            time_traceable: flag(4),
            frequency_traceable: flag(5),
            source: from.u8()?,
        })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.put(&self.utc_offset.to_be_bytes());
        let flags = [
            self.leap_61,
            self.leap_59,
            self.utc_valid,
            self.ptp_timescale,
            self.time_traceable,
            self.frequency_traceable,
        ];
        let flags = flags.iter().enumerate().fold(0, |all, (bit, &set)| all | u8::from(set) << bit);
        to.put(&[flags, self.source]);
    }
}

/// What a port does (table 20).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PortState {
    /// It begins.
    #[default]
    Initializing,
    /// It is broken and does nothing.
    Faulty,
    /// A person has switched it off.
    Disabled,
    /// It waits for a grandmaster.
    Listening,
    /// It is about to be one.
    PreMaster,
    /// It tells others the time.
    Master,
    /// It does nothing, so that there is one master.
    Passive,
    /// It has chosen a grandmaster and does not follow it yet. With a clock that ptp4l does not lead it stays here.
    Uncalibrated,
    /// It follows its grandmaster.
    Slave,
    /// Another number.
    Other(u8),
}

impl PortState {
    const NUMBERED: [Self; 9] = [
        Self::Initializing,
        Self::Faulty,
        Self::Disabled,
        Self::Listening,
        Self::PreMaster,
        Self::Master,
        Self::Passive,
        Self::Uncalibrated,
        Self::Slave,
    ];

    /// The state with this number.
    pub fn of(number: u8) -> Self {
        let named = usize::from(number).checked_sub(1).and_then(|place| Self::NUMBERED.get(place));
        named.copied().unwrap_or(Self::Other(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::Other(number) => number,
            named => {
                let place = Self::NUMBERED.iter().position(|&state| state == named);
                place.map_or(0, |place| place as u8 + 1)
            }
        }
    }
}

/// PORT_DATA_SET (§15.5.3.7.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortDataSet {
    /// Which port.
    pub port: PortIdentity,
    /// What it does.
    pub state: PortState,
    /// Delay requests: a power of two of seconds between two.
    pub log_delay_request: i8,
    /// The way to the neighbour, where that is what is measured.
    pub peer_delay: Nanos,
    /// Announcements: a power of two of seconds between two.
    pub log_announce: i8,
    /// How many announcements may miss before the grandmaster is gone.
    pub announce_timeout: u8,
    /// Syncs: a power of two of seconds between two.
    pub log_sync: i8,
    /// 1: end to end, 2: from neighbour to neighbour.
    pub delay_mechanism: u8,
    /// As [`PortDataSet::log_delay_request`], to the neighbour.
    pub log_peer_delay_request: i8,
    /// PTP's version.
    pub version: u8,
}

impl PortDataSet {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, PtpError> {
        let port = from.port()?;
        let state = PortState::of(from.u8()?);
        let signed = |byte: [u8; 1]| i8::from_be_bytes(byte);
        Ok(Self {
            port,
            state,
            log_delay_request: signed(from.take()?),
            peer_delay: interval(from)?,
            log_announce: signed(from.take()?),
            announce_timeout: from.u8()?,
            log_sync: signed(from.take()?),
            delay_mechanism: from.u8()?,
            log_peer_delay_request: signed(from.take()?),
            version: from.u8()?,
        })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.port(self.port);
        to.put(&[self.state.number()]);
        to.put(&self.log_delay_request.to_be_bytes());
        to.put(&(self.peer_delay.0 << 16).to_be_bytes());
        to.put(&self.log_announce.to_be_bytes());
        to.put(&[self.announce_timeout]);
        to.put(&self.log_sync.to_be_bytes());
        to.put(&[self.delay_mechanism]);
        to.put(&self.log_peer_delay_request.to_be_bytes());
        to.put(&[self.version]);
    }
}

/// linuxptp's TIME_STATUS_NP: the last measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeStatusNp {
    /// This clock − the grandmaster. Of the system clock (software time stamps), as TAI if the grandmaster's scale is that.
    pub offset: Nanos,
    /// When the last sync came, on this clock, in nanoseconds: changes with each one, so it tells whether they come.
    pub ingress: i64,
    /// A grandmaster other than this clock itself is known; not that it still sends.
    pub grandmaster_present: bool,
    /// That grandmaster.
    pub grandmaster: ClockIdentity,
}

impl TimeStatusNp {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, PtpError> {
        let offset = Nanos(from.i64()?);
        let ingress = from.i64()?;
        // Rate offset, phase change, time base indicator, the phase change again in 12 bytes: of PTP over 802.1AS.
        from.take::<22>()?;
        Ok(Self { offset, ingress, grandmaster_present: from.i32()? != 0, grandmaster: from.clock()? })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.put(&self.offset.0.to_be_bytes());
        to.put(&self.ingress.to_be_bytes());
        to.put(&[0; 22]);
        to.put(&i32::from(self.grandmaster_present).to_be_bytes());
        to.clock(self.grandmaster);
    }
}

/// The kind of time stamps that a port of ptp4l uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Stamping {
    /// The kernel's: ptp4l measures the system clock.
    #[default]
    Software,
    /// The card's: ptp4l measures and leads the card's clock.
    Hardware,
}

/// linuxptp's PORT_PROPERTIES_NP. Borrows the interface's name from the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortPropertiesNp<'a> {
    /// Which port.
    pub port: PortIdentity,
    /// What it does.
    pub state: PortState,
    /// The kind of its time stamps.
    pub stamping: Stamping,
    /// Its network interface; empty if the name is no text.
    pub interface: &'a str,
}

impl<'a> PortPropertiesNp<'a> {
    pub(super) fn read(from: &mut Reader<'a>) -> Result<Self, PtpError> {
        let port = from.port()?;
        let state = PortState::of(from.u8()?);
        // 0 software, 1 hardware, 2 hardware by an old interface, 3 and 4 one-step.
        let stamping = if from.u8()? == 0 { Stamping::Software } else { Stamping::Hardware };
        let length = from.u8()?;
        let name = from.bytes(usize::from(length))?;
        Ok(Self { port, state, stamping, interface: core::str::from_utf8(name).unwrap_or_default() })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.port(self.port);
        to.put(&[self.state.number(), u8::from(self.stamping == Stamping::Hardware)]);
        // A PTPText counts its bytes in one; the kernel's names have 15 at most.
        let name = &self.interface.as_bytes()[..self.interface.len().min(255)];
        to.put(&[name.len() as u8]);
        to.put(name);
    }
}
