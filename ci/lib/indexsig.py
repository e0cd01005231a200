"""The index signal, written a second time from its description (engine/core, sender::signal), not from its code.

With b bits (16 or 24), position p and i = 64 × stream + channel, a sample is v = p + i × (2p + 1) mod 2^b. So two neighbouring
frames of a channel differ by 2i + 1, which names stream and channel, and the first of them then names the position.
A recording is judged whole: the signal is made again from the position of its first frame and must equal the file in
every bit, but for the stretches that the gap ledger names, which must be silent.
"""

from array import array


def identify(wav, data, frame=0):
    """(stream, position) of the audio at `frame`, or a sentence why it is none."""
    width, bits = wav.bits // 8, wav.bits
    found = set()
    for channel in range(wav.channels):
        at = frame * wav.block + channel * width
        first, second = (int.from_bytes(data[x:x + width], "little") for x in (at, at + wav.block))
        slope = (second - first) % (1 << bits)
        if slope % 2 == 0:
            return f"channel {channel} at frame {frame} is no index signal (steps by {slope})"
        identity = slope >> 1
        if identity % 64 != channel:
            return f"channel {channel} at frame {frame} carries channel {identity % 64} of stream {identity >> 6}"
        position = (first - identity) * pow(slope, -1, 1 << bits) % (1 << bits)
        found.add((identity >> 6, position))
    if len(found) != 1:
        return f"the channels at frame {frame} are of different streams or positions: {sorted(found)}"
    return found.pop()


def make(stream, position, frames, channels, bits):
    """The signal as the bytes of a WAV file."""
    width = bits // 8
    out = bytearray(frames * channels * width)
    for channel in range(channels):
        identity = 64 * stream + channel
        slope = 2 * identity + 1
        first = position + identity * (2 * position + 1)
        wide = array("Q", range(first, first + slope * frames, slope)).tobytes()
        for byte in range(width):  # the low bytes of a number are the number modulo 2^b
            out[channel * width + byte::channels * width] = wide[byte::8]
    return out


def compare(wav, data, stream, position, gaps=()):
    """Frames that are not what they must be: (how many, the first). `gaps` are [(first frame in the file, frames)]."""
    wanted = make(stream, position, wav.frames, wav.channels, wav.bits)
    for start, frames in gaps:
        start, end = max(start, 0), min(start + frames, wav.frames)
        if end > start:
            wanted[start * wav.block:end * wav.block] = bytes((end - start) * wav.block)
    if wanted == data:
        return 0, None
    step = wav.block
    wrong = [i // step for i in range(0, len(data), step) if data[i:i + step] != wanted[i:i + step]]
    return len(wrong), wrong[0] if wrong else min(len(data), len(wanted)) // step


def check_whole(verdict, name, wav, stream, gaps=()):
    """One stream, one timeline, each sample in its place. Returns the position of the first frame, or None."""
    data = wav.data()
    # A gap may stand at its begin.
    sound = next((frames for start, frames in joined(gaps) if start <= 0 < start + frames), 0)
    seen = identify(wav, data, sound) if wav.frames > sound + 1 else "it holds no two frames"
    if isinstance(seen, tuple):
        seen = (seen[0], (seen[1] - sound) % (1 << wav.bits))
    if not verdict.check(f"{name}: carries stream {stream}", isinstance(seen, tuple) and seen[0] == stream,
                         f"from position {seen[1]}" if isinstance(seen, tuple) and seen[0] == stream else f"{seen}"):
        return None
    wrong, first = compare(wav, data, stream, seen[1], gaps)
    detail = f"{wav.frames:,} frames of {wav.bits} bit compared, {wrong} differ"
    if wrong:
        there = identify(wav, data, first) if first + 1 < wav.frames else "the file's end"
        detail += f", the first at frame {first}, where {seen[0], (seen[1] + first) % (1 << wav.bits)} belongs and {there} is"
    verdict.check(f"{name}: every sample in its place", wrong == 0, detail)
    return seen[1]


def joined(spans):
    """Spans [(start, frames)] in order, with neighbours joined."""
    out = []
    for start, frames in sorted(spans):
        if out and start <= out[-1][0] + out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], start + frames - out[-1][0]))
        elif frames:
            out.append((start, frames))
    return out
