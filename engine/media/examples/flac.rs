//! Makes a FLAC file of a WAV file, as a recorder does: `flac IN.wav OUT.flac [LEVEL]`. For a person who holds it
//! against the `flac` program.

use audyn_media::{AudioFile as _, Facts, FlacSpec, FlacWriter, WavReader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, level @ ..] = arguments.as_slice() else {
        return Err("give a WAV file, a name for the FLAC file, and a level if it is not 5".into());
    };
    let mut reader = WavReader::open(input)?;
    let wav = reader.info().spec;
    let spec = FlacSpec::new(wav.rate, wav.channels, wav.depth)?;
    let spec = spec.at_level(level.first().map_or(Ok(5), |level| level.parse())?)?;
    let mut writer = FlacWriter::create(output, spec, &Facts::default())?;
    writer.set_source_depth(wav.depth);
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
