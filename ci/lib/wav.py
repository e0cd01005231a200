"""A reader of WAV and RF64 files with their BWF chunk that trusts only what is written, and makers of test files.

Apart from Python's own `wave`, so that the product, this reader and the three judges (ffprobe, soxi, `wave`) are five
opinions on one file.
"""

import random
import re
import struct
import subprocess
import wave
from pathlib import Path


class Wav:
    """`frames` is what the header says; `stored` is how many whole frames lie behind it; `time_reference` is what `bext` says, or None."""

    def __init__(self, path):
        self.path = Path(path)
        size = self.path.stat().st_size
        with open(path, "rb") as file:
            magic, _, form = struct.unpack("<4sI4s", file.read(12))
            if magic not in (b"RIFF", b"RF64", b"BW64") or form != b"WAVE":
                raise ValueError(f"{path}: not a WAV file")
            self.rf64 = magic != b"RIFF"
            long_size = self.time_reference = None
            while True:
                header = file.read(8)
                if len(header) < 8:
                    raise ValueError(f"{path}: no data chunk")
                name, length = struct.unpack("<4sI", header)
                if name == b"data":
                    break
                body = file.read(length + length % 2)
                if name == b"ds64":
                    long_size = struct.unpack_from("<Q", body, 8)[0]
                if name == b"bext":
                    self.time_reference = struct.unpack_from("<Q", body, 338)[0]
                if name == b"fmt ":
                    self.tag, self.channels, self.rate, _, self.block, self.bits = struct.unpack_from("<HHIIHH", body)
            self.offset = file.tell()
        if self.rf64 and length == 0xFFFFFFFF:
            length = long_size
        self.frames = length // self.block
        self.stored = (size - self.offset) // self.block

    def data(self):
        """The audio that the header vouches for."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.frames * self.block)


def widened(data):
    """16-bit little-endian samples as 24-bit ones of the same value."""
    out = bytearray(len(data) // 2 * 3)
    out[1::3] = data[0::2]
    out[2::3] = data[1::2]
    return bytes(out)


def make_noise(path, seconds, bits, seed, rate=48000, channels=2):
    """Writes full-range noise, every bit of every sample random, and returns its bytes."""
    data = random.Random(seed).randbytes(seconds * rate * channels * bits // 8)
    with wave.open(str(path), "wb") as out:
        out.setparams((channels, bits // 8, rate, 0, "NONE", ""))
        out.writeframes(data)
    return data


def judges(path):
    """The length in frames by three independent readers: {name: frames or the complaint}."""
    result = {}
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=duration_ts", "-of",
         "default=nw=1:nk=1", str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    text = probe.stdout.strip()
    # A file without a frame yet has no duration to ffprobe; it still must have opened it as a stream of audio.
    result["ffprobe"] = 0 if text == "N/A" else int(text) if re.fullmatch(r"\d+", text) else complaint(probe)
    soxi = subprocess.run(["soxi", "-s", str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    text = soxi.stdout.strip()
    result["soxi"] = int(text) if re.fullmatch(r"\d+", text) else complaint(soxi)
    try:
        with wave.open(str(path), "rb") as file:
            frames = file.getnframes()
            got = len(file.readframes(frames)) // (file.getsampwidth() * file.getnchannels())
            result["wave"] = frames if got == frames else f"says {frames} frames and holds {got}"
    except (wave.Error, EOFError) as error:
        result["wave"] = f"{type(error).__name__} {error}"
    return result


def told_times(wav):
    """Frames from midnight to the first one, by this reader, by others, and by iXML: {name: frames or the complaint}."""
    times = {"bext": wav.time_reference}
    probe = subprocess.run(
        ["ffprobe", "-v", "warning", "-show_entries", "format_tags=time_reference", "-of", "default=nw=1:nk=1", str(wav.path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    text = probe.stdout.strip()
    times["ffprobe"] = int(text) if re.fullmatch(r"\d+", text) and not probe.stderr.strip() else complaint(probe)
    info = subprocess.run(["mediainfo", "--Inform=Audio;%Delay%", str(wav.path)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    text = info.stdout.strip()
    times["mediainfo"] = round(float(text) * wav.rate / 1000) if re.fullmatch(r"\d+(\.\d+)?", text) else complaint(info)
    with open(wav.path, "rb") as file:
        head = file.read(wav.offset)
    halves = [re.search(rb"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_%b>(\d+)<" % half, head) for half in (b"HI", b"LO")]
    times["iXML"] = int(halves[0][1]) << 32 | int(halves[1][1]) if all(halves) else "says nothing"
    return times


def complaint(done):
    return " ".join((done.stderr + done.stdout).split()) or f"exit code {done.returncode}"
