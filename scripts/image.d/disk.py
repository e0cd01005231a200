#!/usr/bin/env python3
"""What an image is, by what is in it, and a disk kept to oneself while it is written.

    disk.py what IMAGE      IMAGE: .img or .img.xz; prints KEY=VALUE lines: bytes, machine, board, version, kind. A sentence and
                            exit code 1 for what is no whole image of Audyn's
    disk.py hold DEVICE     opens it as the kernel does for a mount (O_EXCL), prints `held`, and keeps it until its input ends;
                            exit code 16 if the kernel keeps it already, with or without a mount to be seen

Read are the partition table (UEFI 2.10 §5.3), the loader's name on the EFI partition, and `release` in the first kernel slot, which
board/common/assemble.sh puts there and each update replaces. Must never: write, or believe a file's name.
"""

import binascii
import errno
import lzma
import os
import struct
import sys

MIB = 1 << 20
# In this order, in every board's genimage.cfg.in.
LABELS = ["esp", "kernel.0", "kernel.1", "rootfs.0", "rootfs.1", "state", "recordings"]
MACHINES = {"BOOTX64 EFI": "x86_64", "BOOTAA64EFI": "aarch64"}


class NotOurs(Exception):
    """A sentence without its subject: what the image lacks."""


class Image:
    """The beginning of an image, unpacked as far as it is asked for."""

    def __init__(self, path):
        self.file = open(path, "rb")
        packed = self.file.read(6) == b"\xfd7zXZ\0"
        self.file.seek(0)
        if packed:
            self.file = lzma.open(self.file)
        self.data = bytearray()

    def at(self, offset, count):
        while len(self.data) < offset + count:
            more = self.file.read(min(4 * MIB, offset + count - len(self.data)))
            if not more:
                raise NotOurs("ends before its partitions do")
            self.data += more
        return bytes(self.data[offset:offset + count])


def partitions(image):
    """{label: (offset, size)} in bytes and the size of the whole disk, by the first table."""
    header = image.at(512, 92)
    if header[:8] != b"EFI PART":
        raise NotOurs("has no partition table (GPT)")
    if struct.unpack("<I", header[16:20])[0] != binascii.crc32(header[:16] + bytes(4) + header[20:]):
        raise NotOurs("has a damaged partition table")
    last, table, count, size, crc = struct.unpack("<8x Q 32x Q I I I", header[24:92])
    if size != 128 or count > 128:
        raise NotOurs("has a partition table of a form that is not ours")
    entries = image.at(table * 512, count * size)
    if binascii.crc32(entries) != crc:
        raise NotOurs("has a damaged partition table")
    found = {}
    for number in range(count):
        kind, first, end, name = struct.unpack("<16s 16x Q Q 8x 72s", entries[number * 128:number * 128 + 128])
        if any(kind):
            if not first <= end <= last:
                raise NotOurs("has a partition that is not on its disk")
            found[name.decode("utf-16-le", "replace").rstrip("\0")] = (first * 512, (end - first + 1) * 512)
    return found, (last + 1) * 512


class Fat:
    """Files of a small FAT by their short names (Microsoft's FAT specification 1.03, as far as mkfs.fat uses it)."""

    def __init__(self, image, offset, size):
        self.image, self.offset, self.size = image, offset, size
        boot = image.at(offset, 512)
        sector, self.per, reserved, fats, roots, small, table = struct.unpack("<H B H B H H x H", boot[11:24])
        if boot[510:] != b"\x55\xaa" or sector != 512 or not self.per or not fats:
            raise NotOurs("has a partition that should be FAT and isn't")
        large, wide = struct.unpack("<I I", boot[32:40])
        self.wide = table == 0
        table = table or wide
        self.table = reserved * 512
        self.roots = ((reserved + fats * table) * 512, roots * 32)
        self.first = self.roots[0] + (roots * 32 + 511) // 512 * 512
        clusters = ((small or large) * 512 - self.first) // (self.per * 512)
        self.bits = 32 if self.wide else 12 if clusters < 4085 else 16
        self.root = struct.unpack("<I", boot[44:48])[0] if self.wide else 0

    def bytes(self, at, count):
        if at + count > self.size:
            raise NotOurs("has a damaged FAT")
        return self.image.at(self.offset + at, count)

    def next(self, cluster):
        if self.bits == 12:
            two = struct.unpack("<H", self.bytes(self.table + cluster * 3 // 2, 2))[0]
            return two >> 4 if cluster % 2 else two & 0xFFF
        if self.bits == 16:
            return struct.unpack("<H", self.bytes(self.table + cluster * 2, 2))[0]
        return struct.unpack("<I", self.bytes(self.table + cluster * 4, 4))[0] & 0x0FFFFFFF

    def content(self, cluster, most=1 << 16):
        if cluster == 0:
            return self.bytes(*self.roots)
        data, end = b"", {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[self.bits]
        while 2 <= cluster < end and len(data) < most:
            data += self.bytes(self.first + (cluster - 2) * self.per * 512, self.per * 512)
            cluster = self.next(cluster)
        return data

    def find(self, *path):
        """(first cluster, size) of a file or directory; None if it isn't there."""
        cluster, size = self.root, 0
        for wanted in path:
            directory = self.content(cluster)
            for at in range(0, len(directory), 32):
                entry = directory[at:at + 32]
                if entry[0] not in (0, 0xE5) and entry[11] & 0x0F != 0x0F and entry[:11] == wanted.encode().ljust(11):
                    high, low, size = struct.unpack("<H 4x H I", entry[20:32])
                    cluster = high << 16 | low if self.wide else low
                    break
            else:
                return None
        return cluster, size


def what(path):
    try:
        image = Image(path)
        found, size = partitions(image)
        if list(found) != LABELS:
            raise NotOurs(f"has other partitions ({', '.join(found)[:80] or 'none'}) than a disk of Audyn's")
        esp = Fat(image, *found["esp"])
        machine = next((name for file, name in MACHINES.items() if esp.find("EFI", "BOOT", file)), None)
        if machine is None:
            if not esp.find("AUTOBOOTTXT"):
                raise NotOurs("has no boot loader of ours")
            machine = "raspberrypi"
        kernel = Fat(image, *found["kernel.0"])
        release = kernel.find("RELEASE")
        if release is None:
            raise NotOurs("does not say what it is (no `release` in its kernel slot)")
        text = kernel.content(release[0])[:release[1]].decode("ascii", "replace")
    except NotOurs as why:
        sys.exit(f"{os.path.basename(path)} is no image of Audyn's: it {why}")
    except (lzma.LZMAError, EOFError):
        sys.exit(f"{path} is damaged: it does not unpack; download or build it again")
    except OSError as why:
        sys.exit(f"{os.path.basename(path)} can't be read: {why.strerror or why}")
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    print(f"bytes={size}\nmachine={machine}")
    for key in ("board", "version", "kind"):
        value = facts.get(f"AUDYN_{key.upper()}", "unknown")
        print(f"{key}={''.join(c for c in value if c.isalnum() or c in '._+-')[:80]}")


def hold(path):
    try:
        held = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as why:
        if why.errno == errno.EBUSY:
            sys.exit(errno.EBUSY)
        sys.exit(f"{path}: {why.strerror}")
    print("held", flush=True)
    sys.stdin.read()
    os.close(held)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("what", "hold"):
        sys.exit("disk.py what IMAGE, or disk.py hold DEVICE")
    {"what": what, "hold": hold}[sys.argv[1]](sys.argv[2])
