"""How large the image is, and how long it takes from power on to recording (stated, under TCG)."""

import lzma

import disk
from box import Flow

LIMIT_MB = 150


def run(t):
    image = t.images.disk("1.0.0")
    part = disk.partitions(image)
    box = t.box("box", image=image)
    root = disk.extract(image, "rootfs.0", box.work / "root.img")
    used = used_bytes(root)
    packer, packed = lzma.LZMACompressor(preset=1), 0
    with open(root, "rb") as file:
        left = used
        while left > 0:
            chunk = file.read(min(4 << 20, left))
            left -= len(chunk)
            packed += len(packer.compress(chunk))
    packed += len(packer.flush())
    root.unlink()
    t.check(f"the root image is at most {LIMIT_MB} MB compressed", packed <= LIMIT_MB * 10**6,
            f"{packed / 10**6:.1f} MB by xz -1, {used / 10**6:.1f} MB as it lies in its slot of {part['rootfs.0'][1] / 10**6:.0f} MB")
    t.note(f"the update bundle has {t.images.bundle('1.0.0').stat().st_size / 10**6:.1f} MB")
    flow = Flow(5)
    box.up_and_well()
    box.record([flow])
    box.power_off()
    box.start()
    shell = box.up()
    state = box.wait_recording([flow])[flow.name]
    started = float(box.sh("cut -d' ' -f1 /proc/uptime").text)
    t.note(f"power on to root shell {shell:.0f} s; recording {state['frames_written'] / 48000:.1f} s of audio at {started:.0f} s of uptime (TCG, two emulated CPUs)")
    t.note(" | ".join(box.sh("systemd-analyze time 2>/dev/null | head -n 2; systemd-analyze blame --no-pager 2>/dev/null | head -n 8; true").text.split("\n")))


def used_bytes(path):
    """How much of the slot the image takes: up to the last byte that is not zero."""
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - (4 << 20))
            file.seek(start)
            chunk = file.read(end - start).rstrip(b"\0")
            if chunk:
                return start + len(chunk)
            end = start
    return 0
