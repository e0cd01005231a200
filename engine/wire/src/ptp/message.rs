//! The management message: a question, and the answers to it.

use super::{
    CurrentDataSet, DataSet, DefaultDataSet, ParentDataSet, PortDataSet, PortIdentity, PortPropertiesNp,
    PtpError, Reader, TimePropertiesDataSet, TimeStatusNp, Writer,
};

/// Bytes of a question.
pub const GET_BYTES: usize = 54;

/// Bytes of an answer that is read, at most: the longest has an interface's name in it.
pub const MAX_ANSWER_BYTES: usize = 512;

const HEADER_BYTES: usize = 34;
const MANAGEMENT: u8 = 0x0d;
const VERSION: u8 = 2;
const TLV_MANAGEMENT: u16 = 1;
const TLV_ERROR: u16 = 2;
const ACTION_GET: u8 = 0;
const ACTION_RESPONSE: u8 = 2;

/// A question: what a clock's data set holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Get {
    /// The domain of the clock; one of another domain does not answer.
    pub domain: u8,
    /// Who asks.
    pub source: PortIdentity,
    /// The number that the answer repeats.
    pub sequence: u16,
    /// Who is asked.
    pub target: PortIdentity,
    /// For what.
    pub set: DataSet,
}

impl Get {
    /// Writes the question. It goes no further than to the clock that hears it (no boundary hops).
    pub fn write(&self, out: &mut [u8; GET_BYTES]) {
        let mut to = Writer::new(out);
        header(&mut to, GET_BYTES, self.domain, self.source, self.sequence);
        to.port(self.target);
        to.put(&[0, 0, ACTION_GET, 0]);
        to.put(&TLV_MANAGEMENT.to_be_bytes());
        to.put(&2u16.to_be_bytes());
        to.put(&self.set.id().to_be_bytes());
    }
}

fn header(to: &mut Writer<'_>, length: usize, domain: u8, source: PortIdentity, sequence: u16) {
    to.put(&[MANAGEMENT, VERSION]);
    to.put(&(length as u16).to_be_bytes());
    to.put(&[domain, 0, 0, 0]);
    // Correction and message type specific.
    to.put(&[0; 12]);
    to.port(source);
    to.put(&sequence.to_be_bytes());
    // The control field of management, and "no interval" (table 42).
    to.put(&[4, 0x7f]);
}

/// Why a clock does not tell (table 109).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManagementError {
    /// The answer would be too long.
    TooBig,
    /// It doesn't know this identifier.
    NoSuchId,
    /// The question was malformed.
    WrongLength,
    /// Something in it was.
    WrongValue,
    /// It can't be set.
    NotSetable,
    /// It knows it, and doesn't do it.
    NotSupported,
    /// Any other number.
    Other(u16),
}

impl ManagementError {
    const NUMBERED: [Self; 6] = [
        Self::TooBig,
        Self::NoSuchId,
        Self::WrongLength,
        Self::WrongValue,
        Self::NotSetable,
        Self::NotSupported,
    ];

    pub(super) fn of(number: u16) -> Self {
        let named = usize::from(number).checked_sub(1).and_then(|place| Self::NUMBERED.get(place));
        named.copied().unwrap_or(Self::Other(number))
    }

    fn number(self) -> u16 {
        match self {
            Self::Other(number) => number,
            named => {
                let place = Self::NUMBERED.iter().position(|&error| error == named);
                place.map_or(0, |place| place as u16 + 1)
            }
        }
    }
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body<'a> {
    /// [`DataSet::Default`]
    Default(DefaultDataSet),
    /// [`DataSet::Current`]
    Current(CurrentDataSet),
    /// [`DataSet::Parent`]
    Parent(ParentDataSet),
    /// [`DataSet::TimeProperties`]
    TimeProperties(TimePropertiesDataSet),
    /// [`DataSet::Port`]
    Port(PortDataSet),
    /// [`DataSet::TimeStatusNp`]
    TimeStatusNp(TimeStatusNp),
    /// [`DataSet::PortPropertiesNp`]
    PortPropertiesNp(PortPropertiesNp<'a>),
    /// Something else was told, with this identifier.
    Other(u16),
    /// It is not told.
    Refused {
        /// What was asked for.
        id: u16,
        /// Why.
        why: ManagementError,
    },
}

impl Body<'_> {
    fn id(&self) -> u16 {
        match self {
            Self::Default(_) => DataSet::Default.id(),
            Self::Current(_) => DataSet::Current.id(),
            Self::Parent(_) => DataSet::Parent.id(),
            Self::TimeProperties(_) => DataSet::TimeProperties.id(),
            Self::Port(_) => DataSet::Port.id(),
            Self::TimeStatusNp(_) => DataSet::TimeStatusNp.id(),
            Self::PortPropertiesNp(_) => DataSet::PortPropertiesNp.id(),
            Self::Other(id) | Self::Refused { id, .. } => *id,
        }
    }
}

/// A clock's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The clock's domain.
    pub domain: u8,
    /// Who answers.
    pub source: PortIdentity,
    /// The question's number.
    pub sequence: u16,
    /// What it says.
    pub body: Body<'a>,
}

impl<'a> Answer<'a> {
    /// Reads a message that came back. What follows its first TLV is not looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PtpError> {
        let mut whole = Reader(bytes);
        let [kind, version] = whole.take()?;
        if version & 0x0f != VERSION {
            return Err(PtpError::Version);
        }
        if kind & 0x0f != MANAGEMENT {
            return Err(PtpError::NotManagement);
        }
        let length = usize::from(whole.u16()?);
        let mut from = Reader(bytes.get(4..length).ok_or(PtpError::Truncated)?);
        let domain = from.u8()?;
        // Minor sdoId, flags, correction, message type specific.
        from.take::<15>()?;
        let source = from.port()?;
        let sequence = from.u16()?;
        from.take::<2>()?;
        from.port()?;
        let [_, _, action, _] = from.take()?;
        if action & 0x0f != ACTION_RESPONSE {
            return Err(PtpError::NotResponse);
        }
        let kind = from.u16()?;
        let length = usize::from(from.u16()?);
        let mut value = Reader(from.bytes(length)?);
        let body = match kind {
            TLV_MANAGEMENT => told(&mut value)?,
            TLV_ERROR => {
                let why = ManagementError::of(value.u16()?);
                Body::Refused { id: value.u16()?, why }
            }
            _ => return Err(PtpError::NotResponse),
        };
        Ok(Self { domain, source, sequence, body })
    }

    /// Writes the answer, for tests and stand-ins of a clock, and tells its length; none if `out` is too short.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut to = Writer::new(out);
        to.put(&[0; HEADER_BYTES]);
        to.port(PortIdentity::ALL);
        to.put(&[0, 0, ACTION_RESPONSE, 0]);
        let tlv = to.at;
        to.put(&[0; 4]);
        let id = self.body.id().to_be_bytes();
        if let Body::Refused { why, .. } = self.body {
            to.put(&why.number().to_be_bytes());
            to.put(&id);
            to.put(&[0; 4]);
        } else {
            to.put(&id);
        }
        match &self.body {
            Body::Default(set) => set.write(&mut to),
            Body::Current(set) => set.write(&mut to),
            Body::Parent(set) => set.write(&mut to),
            Body::TimeProperties(set) => set.write(&mut to),
            Body::Port(set) => set.write(&mut to),
            Body::TimeStatusNp(set) => set.write(&mut to),
            Body::PortPropertiesNp(set) => set.write(&mut to),
            Body::Other(_) | Body::Refused { .. } => {}
        }
        // A TLV has an even length (§14.1).
        if to.at % 2 == 1 {
            to.put(&[0]);
        }
        let length = to.end()?;
        let mut front = Writer::new(out);
        header(&mut front, length, self.domain, self.source, self.sequence);
        let kind = if matches!(self.body, Body::Refused { .. }) { TLV_ERROR } else { TLV_MANAGEMENT };
        let mut lengths = Writer::new(out.get_mut(tlv..)?);
        lengths.put(&kind.to_be_bytes());
        lengths.put(&((length - tlv - 4) as u16).to_be_bytes());
        Some(length)
    }
}

fn told<'a>(value: &mut Reader<'a>) -> Result<Body<'a>, PtpError> {
    let id = value.u16()?;
    let Some(set) = DataSet::of(id) else { return Ok(Body::Other(id)) };
    // The data is there, or the TLV's length lies: the message itself was long enough.
    let read = match set {
        DataSet::Default => DefaultDataSet::read(value).map(Body::Default),
        DataSet::Current => CurrentDataSet::read(value).map(Body::Current),
        DataSet::Parent => ParentDataSet::read(value).map(Body::Parent),
        DataSet::TimeProperties => TimePropertiesDataSet::read(value).map(Body::TimeProperties),
        DataSet::Port => PortDataSet::read(value).map(Body::Port),
        DataSet::TimeStatusNp => TimeStatusNp::read(value).map(Body::TimeStatusNp),
        DataSet::PortPropertiesNp => PortPropertiesNp::read(value).map(Body::PortPropertiesNp),
    };
    read.map_err(|_| PtpError::Length)
}
