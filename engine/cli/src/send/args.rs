//! The options of `audyn send`.

use std::net::IpAddr;
use std::path::PathBuf;

use audyn_core::sender::{Chance, PauseKind, Random};
use audyn_units::{ChannelCount, Encoding, Nanos, PayloadType, SampleRate, SeqNo, Ssrc};
use clap::{ArgGroup, Args};

use crate::analyze::{Choice, choice};
use crate::legs::{self, Place};
use crate::values::{self, At, Placed};

const EXAMPLES: &str = "\
Positions (AT) count from the start: 96000 is a frame, 2s and 500ms are times. Options with AT may be repeated.

Examples:
  audyn send -m 239.1.2.3 --interface eth0 --tone 1000 --level -18
      a stereo tone, L24 at 48 kHz, 1 ms packets, until Ctrl-C
  audyn send -m 239.1.2.3 --interface eth0 --file jingle.wav --loop --sdp-out jingle.sdp
      a file over and over, and its description for a receiver
  audyn send -m 239.1.2.3 --interface lo --index -c 64 --ptime 0.125 --duration 10
      64 channels at 125 µs; each sample carries its own position
  audyn send -m 239.1.2.3 --interface lo --index --packets 60000 --seed 5 \\
      --loss 1% --reorder 2% --duplicate 1% --pause 10s:3s --truth truth.json
      a minute with faults, and the record of what really left
  audyn send -m 239.1.2.3 --interface eth0 --pcap trouble.pcapng --flow 2
      the second stream of a capture, packet for packet, in its own time
  audyn send -m 239.1.0.1 --interface lo --index --second-leg 239.2.0.1 --leg-loss 50% --sdp-out both.sdp
      two legs, each with half of the packets, and the description that joins them

Exit codes: 0 sent, 1 the network or a file failed, 2 the options can't be meant.";

/// Options about packets that are made here; those of a capture are made already.
const MADE_HERE: [&str; 20] = [
    "pt",
    "ptime",
    "spp",
    "level",
    "repeat",
    "stream_id",
    "truth",
    "first_seq",
    "first_timestamp",
    "ssrc",
    "seed",
    "loss",
    "burst",
    "reorder",
    "duplicate",
    "lose_at",
    "delay_at",
    "duplicate_at",
    "pause",
    "jump",
];

/// Send an AES67 stream.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("signal").required(true).args(["tone", "file", "index", "pcap"]))]
pub(crate) struct SendArgs {
    /// Where to: a multicast group, or a receiver's address.
    #[arg(short = 'm', long, visible_alias = "to", value_name = "IP", value_parser = values::address)]
    pub(super) destination: IpAddr,
    /// UDP port; as a rule, RTP has an even one.
    #[arg(short, long, default_value_t = 5004, value_parser = values::port)]
    pub(super) port: u16,
    /// Network to send from, by name or by one of its addresses; without it, the system's route decides.
    #[arg(long, value_name = "NAME|IP")]
    pub(super) interface: Option<String>,
    /// Send everything a second time (ST 2022-7) to ADDR[:PORT][@NAME].
    #[arg(long, value_name = "PLACE", conflicts_with = "pcap", value_parser = legs::place)]
    pub(super) second_leg: Option<Place>,
    /// Hops that packets may travel.
    #[arg(long, default_value_t = 32, value_parser = values::within("number of hops", 1..=u8::MAX))]
    pub(super) ttl: u8,
    /// Differentiated services code point; 34 is AF41, AES67's class for media.
    #[arg(long, default_value_t = 34, value_parser = values::within("code point", 0..=63u8))]
    pub(super) dscp: u8,

    /// RTP payload type.
    #[arg(long, default_value = "96", value_parser = values::payload_type, value_name = "PT")]
    pub(super) pt: PayloadType,
    /// L16 or L24 [default: L24, or what the file needs]
    #[arg(long, value_parser = values::encoding)]
    pub(super) encoding: Option<Encoding>,
    /// Sample rate: 44100, 48000 or 96000 [default: 48000, or the file's]
    #[arg(short, long, value_parser = values::rate, value_name = "HZ")]
    pub(super) rate: Option<SampleRate>,
    /// Channels, 1 to 64 [default: 2, or the file's]
    #[arg(short, long, value_parser = values::channels, value_name = "N")]
    pub(super) channels: Option<ChannelCount>,
    /// Packet time in milliseconds: 0.125 to 4 [default: 1]
    #[arg(long, conflicts_with = "spp", value_parser = values::ptime, value_name = "MS")]
    pub(super) ptime: Option<f64>,
    /// Frames in a packet, instead of --ptime.
    #[arg(long, value_name = "FRAMES", value_parser = values::within("number of frames", 1..=u32::MAX))]
    pub(super) spp: Option<u32>,

    /// Send a sine of HZ on all channels.
    #[arg(long, value_parser = values::hertz, value_name = "HZ")]
    pub(super) tone: Option<f64>,
    /// The tone's peak; 0 is full scale.
    #[arg(long, conflicts_with_all = ["file", "index"], default_value_t = -18.0, value_parser = values::level, value_name = "DBFS", allow_hyphen_values = true)]
    pub(super) level: f32,
    /// Send a WAV file of 16 or 24 bit.
    #[arg(long, value_name = "WAV")]
    pub(super) file: Option<PathBuf>,
    /// Begin the file again at its end, without a break.
    #[arg(long = "loop", conflicts_with_all = ["tone", "index"])]
    pub(super) repeat: bool,
    /// Send the index signal: each sample carries its own position, channel and stream.
    #[arg(long)]
    pub(super) index: bool,
    /// The index signal's stream.
    #[arg(long, conflicts_with_all = ["tone", "file"], default_value_t = 0, value_name = "N", value_parser = values::within("stream of the index signal", 0..=u32::MAX))]
    pub(super) stream_id: u32,

    /// Send the packets of a capture as they are, in the time in which they were captured.
    #[arg(long, value_name = "PCAP", conflicts_with_all = MADE_HERE)]
    pub(super) pcap: Option<PathBuf>,
    /// The capture's stream, if it has several: its number in `audyn analyze`'s list, or its group and port.
    #[arg(long, requires = "pcap", value_parser = choice, value_name = "N|IP[:PORT]")]
    pub(super) flow: Option<Choice>,

    /// Stop after so many seconds; 500ms is taken, too.
    #[arg(long, conflicts_with = "packets", value_parser = values::duration, value_name = "SECONDS")]
    pub(super) duration: Option<Nanos>,
    /// Stop after the time of N packets, lost and paused ones included.
    #[arg(long, value_name = "N", value_parser = values::within("number of packets", 0..=u64::MAX))]
    pub(super) packets: Option<u64>,

    /// Write the description of the stream to this file, which must not exist; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) sdp_out: Option<PathBuf>,
    /// The stream's name in the description.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Write what really left, what was lost, doubled, paused and changed, at the end to this file, which must not exist, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) truth: Option<PathBuf>,

    /// Sequence number of the first packet [default: by the seed]
    #[arg(long, value_name = "N", value_parser = values::within("sequence number", 0..=u16::MAX))]
    pub(super) first_seq: Option<u16>,
    /// RTP timestamp of the first frame [default: by the seed]
    #[arg(long, value_name = "N", value_parser = values::within("RTP timestamp", 0..=u32::MAX))]
    pub(super) first_timestamp: Option<u32>,
    /// Let RTP timestamps be the media clock: frames since the PTP epoch, by this machine's clock.
    #[arg(long, conflicts_with_all = ["first_timestamp", "pcap"])]
    pub(super) media_clock: bool,
    /// TAI less UTC in seconds (37 since 2017), if nobody has told it to the kernel; without either, UTC stands in for TAI.
    #[arg(long, value_name = "SECONDS", value_parser = values::tai_offset)]
    pub(super) tai_offset: Option<i32>,
    /// Source identifier, decimal or 0x… [default: by the seed]
    #[arg(long, value_parser = values::ssrc)]
    pub(super) ssrc: Option<Ssrc>,

    /// Decides every chance; the same seed gives the same faults [default: another each time]
    #[arg(long, value_name = "N", value_parser = values::within("seed", 0..=u64::MAX), help_heading = "Faults")]
    pub(super) seed: Option<u64>,
    /// Lose single packets, e.g. 1%.
    #[arg(long, value_parser = values::chance, value_name = "P%", help_heading = "Faults")]
    pub(super) loss: Option<Chance>,
    /// Lose N packets in a row, each run beginning with chance P, e.g. 0.1%:20.
    #[arg(long, value_parser = values::burst, value_name = "P%:N", help_heading = "Faults")]
    pub(super) burst: Option<Random>,
    /// Hold packets back by 1 to K packets [K: 3]
    #[arg(long, value_parser = values::reorder, value_name = "P%[:K]", help_heading = "Faults")]
    pub(super) reorder: Option<Random>,
    /// Send packets twice, the second time up to K packets later [K: 0]
    #[arg(long, value_parser = values::duplicate, value_name = "P%[:K]", help_heading = "Faults")]
    pub(super) duplicate: Option<Random>,
    /// Lose each packet with chance P on the first leg, with chance P on the second, never on both; up to 50%.
    #[arg(long, value_parser = values::chance, value_name = "P%", requires = "second_leg", help_heading = "Faults")]
    pub(super) leg_loss: Option<Chance>,
    /// Cut the first leg at AT for LEN.
    #[arg(long, value_parser = values::cut, value_name = "AT:LEN", requires = "second_leg", help_heading = "Faults")]
    pub(super) first_leg_cut: Vec<Placed<At>>,
    /// Cut the second leg at AT for LEN.
    #[arg(long, value_parser = values::cut, value_name = "AT:LEN", requires = "second_leg", help_heading = "Faults")]
    pub(super) second_leg_cut: Vec<Placed<At>>,
    /// Let the second leg lag behind the first, e.g. 10ms.
    #[arg(long, value_parser = values::duration, value_name = "TIME", requires = "second_leg", help_heading = "Faults")]
    pub(super) second_leg_delay: Option<Nanos>,
    /// Lose N packets at AT.
    #[arg(long, value_parser = values::at_count, value_name = "AT:N", help_heading = "Faults")]
    pub(super) lose_at: Vec<Placed<u32>>,
    /// Hold the packet at AT back by K packets.
    #[arg(long, value_parser = values::at_count, value_name = "AT:K", help_heading = "Faults")]
    pub(super) delay_at: Vec<Placed<u32>>,
    /// Send the packet at AT again, K packets later [K: 0]
    #[arg(long, value_parser = values::at_maybe_count, value_name = "AT[:K]", help_heading = "Faults")]
    pub(super) duplicate_at: Vec<Placed<u32>>,
    /// Go away at AT for LEN. KIND: running (the media clock runs on; default), frozen (it stands still), outage (the
    /// path is cut, sequence numbers run on, too).
    #[arg(long, value_parser = values::pause, value_name = "AT:LEN[:KIND]", help_heading = "Faults")]
    pub(super) pause: Vec<Placed<(At, PauseKind)>>,
    /// Take another source identifier at AT [SSRC: by the seed]
    #[arg(long, conflicts_with = "pcap", value_parser = values::ssrc_change, value_name = "AT[:SSRC]", help_heading = "Faults")]
    pub(super) ssrc_change: Vec<Placed<Option<Ssrc>>>,
    /// Let sequence numbers go on at N [N: 0]
    #[arg(long, conflicts_with = "pcap", value_parser = values::sequence_reset, value_name = "AT[:N]", help_heading = "Faults")]
    pub(super) sequence_reset: Vec<Placed<SeqNo>>,
    /// Let timestamps step by FRAMES, back if negative; the audio goes on.
    #[arg(long, value_parser = values::jump, value_name = "AT:FRAMES", help_heading = "Faults")]
    pub(super) jump: Vec<Placed<i64>>,
}
