//! Makes an Opus file of a WAV file, as a recorder does: `opus IN.wav OUT.opus [KBIT/S [COMPLEXITY]]`. For `ci/bench/archive`, which holds it
//! against `opusenc`.

use audyn_media::opus::{OpusSpec, OpusWriter};
use audyn_media::{AudioFile as _, Facts, WavReader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, more @ ..] = arguments.as_slice() else {
        return Err("give a WAV file, a name for the Opus file, and kbit/s if they are not 128, complexity if it is not 5".into());
    };
    let mut reader = WavReader::open(input)?;
    let wav = reader.info().spec;
    let mut spec = OpusSpec::new(wav.rate, wav.channels);
    if let Some(kbits) = more.first() {
        spec.bitrate = 1_000 * kbits.parse::<u32>()?;
    }
    if let Some(complexity) = more.get(1) {
        spec.complexity = complexity.parse()?;
    }
    let mut writer = OpusWriter::create(output, spec, &Facts::default())?;
    // What a recorder's ring gives at once: 10 ms or so.
    let mut block = vec![0; 512 * wav.channels.get()];
    let mut blocks = 0u32;
    loop {
        let frames = reader.read(&mut block)?.0 as usize;
        if frames == 0 {
            break;
        }
        writer.append(&block[..frames * wav.channels.get()])?;
        blocks += 1;
        if blocks.is_multiple_of(12) {
            writer.checkpoint()?;
        }
    }
    Ok(writer.close()?)
}
