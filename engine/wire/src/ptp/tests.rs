//! What is written is read; what real clocks send is understood; any bytes are judged.

extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use audyn_units::Nanos;
use proptest::prelude::*;

use super::*;

fn identity(last: u8) -> ClockIdentity {
    ClockIdentity([0x00, 0x1d, 0xc1, 0xff, 0xfe, 0x12, 0x34, last])
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

#[test]
fn a_question_is_laid_out_as_the_standard_draws_it() {
    let get = Get {
        domain: 5,
        source: PortIdentity { clock: identity(0), port: 7 },
        sequence: 0x1234,
        target: PortIdentity::ALL,
        set: DataSet::Parent,
    };
    let mut out = [0xaa; GET_BYTES];
    get.write(&mut out);
    let expected = bytes(
        "0d 02 0036 05 00 0000 0000000000000000 00000000 001dc1fffe123400 0007 1234 04 7f \
         ffffffffffffffff ffff 00 00 00 00 0001 0002 2002",
    );
    assert_eq!(out.as_slice(), expected);
}

/// Taken from ptp4l 3.1.1 by its socket, a client with one port and software time stamps that follows another ptp4l.
#[test]
fn what_ptp4l_sends_is_understood() {
    let time_status = bytes(
        "0d02006800000000000000000000000000000000fadf46fffe52649b00000001047f00000000000000000001000002000001\
         0034c000ffffffffffffffc818ec5cd14577b310\
         0000000000000000000000000000000000000000000000000001a2f2fffffebb7c05",
    );
    let answer = Answer::parse(&time_status).unwrap();
    let Body::TimeStatusNp(status) = answer.body else { panic!("{answer:?}") };
    assert_eq!((status.offset, status.ingress), (Nanos(-56), 0x18ec_5cd1_4577_b310));
    assert_eq!(status.grandmaster.to_string(), "A2-F2-FF-FF-FE-BB-7C-05");
    assert!(status.grandmaster_present);
    let properties = bytes(
        "0d02004a00000000000000000000000000000000fadf46fffe52649b00010001047f00000000000000000001000002000001\
         0016c004fadf46fffe52649b0001080006736c6176653000",
    );
    let answer = Answer::parse(&properties).unwrap();
    let Body::PortPropertiesNp(port) = answer.body else { panic!("{answer:?}") };
    assert_eq!(
        (port.interface, port.stamping, port.state),
        ("slave0", Stamping::Software, PortState::Uncalibrated)
    );
    let refused = bytes(
        "0d02003c00000000000000000000000000000000fadf46fffe52649b00010001047f00000000000000000001000002000002\
         00080002c00a00000000",
    );
    let answer = Answer::parse(&refused).unwrap();
    assert!(
        matches!(answer.body, Body::Refused { id: 0xc00a, why: ManagementError::NoSuchId }),
        "{answer:?}"
    );
}

#[test]
fn a_message_that_is_cut_short_is_refused_at_each_length() {
    let mut out = [0; MAX_ANSWER_BYTES];
    for body in all_bodies("enp3s0") {
        let answer = Answer { domain: 1, source: PortIdentity::default(), sequence: 9, body };
        let length = answer.write(&mut out).unwrap();
        assert_eq!(Answer::parse(&out[..length]), Ok(answer));
        for cut in 0..length {
            assert!(Answer::parse(&out[..cut]).is_err(), "{body:?} of {cut} bytes");
            let mut short = out;
            assert_eq!(answer.write(&mut short[..cut]), None);
        }
        // As long as it says, but the TLV says more, or less than its data set needs.
        let mut longer = out;
        longer[51] = longer[51].wrapping_add(4);
        assert!(Answer::parse(&longer[..length]).is_err(), "{body:?}");
        if !matches!(body, Body::Other(_) | Body::Refused { .. }) {
            let mut shorter = out;
            shorter[51] = 3;
            assert_eq!(Answer::parse(&shorter[..length]), Err(PtpError::Length), "{body:?}");
        }
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let mut out = [0; MAX_ANSWER_BYTES];
    let body = Body::Other(7);
    let length =
        Answer { domain: 0, source: PortIdentity::default(), sequence: 1, body }.write(&mut out).unwrap();
    let with = |at: usize, value: u8| {
        let mut changed = out;
        changed[at] = value;
        Answer::parse(&changed[..length]).unwrap_err()
    };
    assert_eq!(with(0, 0x0b), PtpError::NotManagement);
    assert_eq!(with(1, 0x01), PtpError::Version);
    assert_eq!(with(46, 0x00), PtpError::NotResponse);
    assert_eq!(with(49, 0x09), PtpError::NotResponse);
    // PTP 2.1 is version 2 as well, and its major sdoId is the profile's.
    let mut newer = out;
    (newer[0], newer[1]) = (0x1d, 0x12);
    assert!(Answer::parse(&newer[..length]).is_ok());
}

#[test]
fn identities_are_read_in_every_hand() {
    let text = identity(0x56).to_string();
    assert_eq!(text, "00-1D-C1-FF-FE-12-34-56");
    for hand in [&text, "001dc1.fffe.123456", "00:1d:c1:ff:fe:12:34:56", "001DC1FFFE123456"] {
        assert_eq!(hand.parse(), Ok(identity(0x56)), "{hand}");
    }
    for wrong in ["", "00-1D-C1-FF-FE-12-34", "00-1D-C1-FF-FE-12-34-56-78", "00-1D-C1-FF-FE-12-34-5g", "é"] {
        assert!(wrong.parse::<ClockIdentity>().is_err(), "{wrong}");
    }
}

#[test]
fn a_description_names_its_clock() {
    let clock = RefClock::parse("ptp=IEEE1588-2008:00-1D-C1-FF-FE-12-34-56:37").unwrap();
    assert_eq!((clock.grandmaster, clock.domain), (identity(0x56), Some(37)));
    let clock = RefClock::parse("ptp=IEEE1588-2008:00-1D-C1-FF-FE-12-34-56:domain-nmbr=0").unwrap();
    assert_eq!(clock.domain, Some(0));
    assert_eq!(RefClock::parse("ptp=IEEE1588-2008:00-1D-C1-FF-FE-12-34-56").unwrap().domain, None);
    for none in ["ptp=IEEE1588-2008:traceable", "localmac=00-1D-C1-12-34-56", "ntp=/traceable/", "ptp=", ""] {
        assert_eq!(RefClock::parse(none), None, "{none}");
    }
}

fn all_bodies(interface: &str) -> Vec<Body<'_>> {
    std::vec![
        Body::Default(DefaultDataSet::default()),
        Body::Current(CurrentDataSet::default()),
        Body::Parent(ParentDataSet::default()),
        Body::TimeProperties(TimePropertiesDataSet::default()),
        Body::Port(PortDataSet::default()),
        Body::TimeStatusNp(TimeStatusNp::default()),
        Body::PortPropertiesNp(PortPropertiesNp { interface, ..Default::default() }),
        Body::Other(0x2345),
        Body::Refused { id: 0xc004, why: ManagementError::NoSuchId },
    ]
}

prop_compose! {
    fn ports()(clock: [u8; 8], port: u16) -> PortIdentity {
        PortIdentity { clock: ClockIdentity(clock), port }
    }
}

prop_compose! {
    fn announced()(clock: [u8; 8], priority1: u8, class: u8, accuracy: u8, log_variance: u16, priority2: u8) -> Announced {
        let quality = GrandmasterQuality { class, accuracy, log_variance };
        Announced { clock: ClockIdentity(clock), priority1, quality, priority2 }
    }
}

/// 48 bits of nanoseconds, which is what a TimeInterval holds.
fn spans() -> impl Strategy<Value = Nanos> {
    (-(1i64 << 47)..1 << 47).prop_map(Nanos)
}

fn bodies() -> impl Strategy<Value = Body<'static>> {
    prop_oneof![
        (announced(), any::<(bool, bool, u16, u8)>()).prop_map(
            |(clock, (client_only, two_step, ports, domain))| {
                Body::Default(DefaultDataSet { client_only, two_step, ports, clock, domain })
            }
        ),
        (any::<u16>(), spans(), spans()).prop_map(|(steps_removed, offset, path_delay)| {
            Body::Current(CurrentDataSet { steps_removed, offset, path_delay })
        }),
        (ports(), announced())
            .prop_map(|(parent, grandmaster)| Body::Parent(ParentDataSet { parent, grandmaster })),
        any::<(i16, u8, [bool; 6])>().prop_map(|(utc_offset, source, [a, b, c, d, e, f])| {
            Body::TimeProperties(TimePropertiesDataSet {
                utc_offset,
                utc_valid: a,
                leap_61: b,
                leap_59: c,
                ptp_timescale: d,
                time_traceable: e,
                frequency_traceable: f,
                source,
            })
        }),
        (ports(), spans(), any::<(u8, i8, i8, u8, i8, u8, i8, u8)>()).prop_map(|(port, peer_delay, n)| {
            Body::Port(PortDataSet {
                port,
                state: PortState::of(n.0),
                log_delay_request: n.1,
                peer_delay,
                log_announce: n.2,
                announce_timeout: n.3,
                log_sync: n.4,
                delay_mechanism: n.5,
                log_peer_delay_request: n.6,
                version: n.7,
            })
        }),
        any::<(i64, i64, bool, [u8; 8])>().prop_map(|(offset, ingress, grandmaster_present, clock)| {
            let grandmaster = ClockIdentity(clock);
            Body::TimeStatusNp(TimeStatusNp {
                offset: Nanos(offset),
                ingress,
                grandmaster_present,
                grandmaster,
            })
        }),
        (ports(), any::<(u8, bool, bool)>()).prop_map(|(port, (state, hardware, long))| {
            let stamping = if hardware { Stamping::Hardware } else { Stamping::Software };
            let interface = if long { "enp3s0f1np1" } else { "eth0" };
            Body::PortPropertiesNp(PortPropertiesNp {
                port,
                state: PortState::of(state),
                stamping,
                interface,
            })
        }),
        any::<u16>().prop_filter("an unknown one", |&id| DataSet::of(id).is_none()).prop_map(Body::Other),
        any::<(u16, u16)>().prop_map(|(id, why)| Body::Refused { id, why: ManagementError::of(why) }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(domain: u8, source in ports(), sequence: u16, body in bodies(), more: Vec<u8>) {
        let answer = Answer { domain, source, sequence, body };
        let mut out = [0; MAX_ANSWER_BYTES];
        let length = answer.write(&mut out).unwrap();
        prop_assert_eq!(Answer::parse(&out[..length]), Ok(answer));
        // ptp4l pads; what stands after the message is not of it.
        let padded = [&out[..length], &more].concat();
        prop_assert_eq!(Answer::parse(&padded), Ok(answer));
    }

    #[test]
    fn any_bytes_are_judged(mut bytes: Vec<u8>, as_answer: bool) {
        if as_answer && bytes.len() > 54 {
            (bytes[0], bytes[1], bytes[46], bytes[48], bytes[49]) = (0x0d, 0x02, 2, 0, 1 + bytes[49] % 2);
            let length = (bytes.len() as u16).to_be_bytes();
            bytes[2..4].copy_from_slice(&length);
            let set = DataSet::ALL[usize::from(bytes[53]) % DataSet::ALL.len()];
            bytes[52..54].copy_from_slice(&set.id().to_be_bytes());
        }
        let _ = Answer::parse(&bytes);
    }

    #[test]
    fn any_text_is_judged(text: String) {
        let _ = text.parse::<ClockIdentity>();
        let _ = RefClock::parse(&text);
        let named = std::format!("ptp={text}");
        let _ = RefClock::parse(&named);
    }
}
