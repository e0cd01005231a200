"""What a machine wrote to its disk, in order, and disks as a power cut would have left them.

QEMU's `blklogwrites` notes every write and every flush in dm-log-writes' format: a super block in sector 0 (magic, version,
entries, sector size), then entries of one sector (sector, sectors, flags, length), each with its data behind it.

A disk keeps what it was asked to flush, and what it was told with forced unit access; of what came after the last flush it may
keep anything, in any order, in pieces. So a cut at an instant is made of all entries up to the last flush before it, and of
each 4 KiB piece behind that flush with the dice's will: none, the first few in order, or each by itself. What is *not*
modelled: pieces below 4 KiB, and disks that lie about a flush.

An entry is noted when its write is done; one that was done between a flush's beginning and its end counts as flushed, though
the disk need not have. File systems wait for their writes before they flush, so this hides nothing of theirs.
"""

import json
import os
import random
import struct
from pathlib import Path

import disk
import tools

SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
PIECE = 4096
_ENTRY = struct.Struct("<QQQQ")


class Entry:
    __slots__ = ("offset", "length", "flags", "at")

    def __init__(self, offset, length, flags, at):
        self.offset, self.length, self.flags, self.at = offset, length, flags, at


class WriteLog:
    def __init__(self, path):
        self.path = Path(path)
        self.entries, self._next = [], SECTOR

    def read(self):
        """Takes in what was added since the last call; how many entries there are. With the machine stopped this is all."""
        size = self.path.stat().st_size
        with open(self.path, "rb") as file:
            while self._next + SECTOR <= size:
                file.seek(self._next)
                sector, sectors, flags, length = _ENTRY.unpack(file.read(_ENTRY.size))
                data = 0 if flags & DISCARD else sectors * SECTOR
                if not (sectors or flags) or self._next + SECTOR + data > size:
                    break
                self.entries.append(Entry(sector * SECTOR, sectors * SECTOR, flags, self._next + SECTOR))
                self._next += SECTOR + data
        return len(self.entries)

    def keep(self, path):
        """A copy of what was read so far, for a replay after its machine is gone."""
        disk.copy_sparse(self.path, path)
        kept = WriteLog(path)
        kept.entries, kept._next = list(self.entries), self._next
        return kept

    def written(self, first, last):
        """Bytes written by the entries [first, last)."""
        return sum(e.length for e in self.entries[first:last] if not e.flags & (DISCARD | MARK))

    def at_share(self, first, last, share):
        """The entry before which `share` (0 to 1) of what [first, last) wrote has been written."""
        wanted, done = self.written(first, last) * share, 0
        for index in range(first, last):
            if done >= wanted:
                return index
            if not self.entries[index].flags & (DISCARD | MARK):
                done += self.entries[index].length
        return last

    def replay(self, target, cut, dice):
        """Writes to `target` (a disk as it was when the log began) what a cut before entry `cut` leaves; a sentence on what was lost."""
        barrier = max((i + 1 for i in range(cut) if self.entries[i].flags & FLUSH), default=0)
        loose = [e for e in self.entries[barrier:cut] if not e.flags & (FUA | DISCARD | MARK) and e.length]
        firm = [e for e in self.entries[:cut] if e.length and not e.flags & (DISCARD | MARK)]
        pieces = sum((e.length + PIECE - 1) // PIECE for e in loose)
        mode = dice.choice(("all of it lost", "the first of it kept", "each piece by chance"))
        keep_first = dice.randint(0, pieces) if mode == "the first of it kept" else None
        kept = seen = 0
        loose_ids = {id(e) for e in loose}
        with open(self.path, "rb") as log, open(target, "r+b") as out:
            for entry in firm:
                log.seek(entry.at)
                data = log.read(entry.length)
                if id(entry) not in loose_ids:
                    os.pwrite(out.fileno(), data, entry.offset)
                    continue
                for start in range(0, entry.length, PIECE):
                    seen += 1
                    take = (seen <= keep_first if keep_first is not None else
                            mode != "all of it lost" and dice.random() < 0.5)
                    if take:
                        kept += 1
                        os.pwrite(out.fileno(), data[start:start + PIECE], entry.offset + start)
        return f"{cut} writes and flushes, then {pieces} unflushed pieces of 4 KiB, {mode} ({kept} kept)"


def prove(check, work):
    """The judge judged, on a disk of 1 MiB that qemu-io writes to: what was flushed is always there, what was not can be lost,
    and all of the log is all of the disk."""
    place = Path(work)
    layer, log, target = place / "prove.raw", place / "prove.log", place / "prove.disk"
    for path in (layer, log, target):
        path.write_bytes(b"" if path == log else bytes(1 << 20))
    chain = {"driver": "blklogwrites", "file": {"driver": "file", "filename": str(layer)}, "log": {"driver": "file", "filename": str(log)},
             "log-sector-size": 512}
    orders = ["write -P 1 0 64k", "flush", "write -f -P 4 256k 4k", "write -P 2 64k 64k", "write -P 3 0 512", "write -P 5 128k 64k"]
    tools.run("qemu-io", "-t", "writeback", "-f", "raw", *[word for order in orders for word in ("-c", order)], "json:" + json.dumps({"driver": "raw", "file": chain}))
    noted = WriteLog(log)
    # qemu-io flushes once more when it closes the disk.
    last = max(i for i in range(noted.read()) if not noted.entries[i].flags & FLUSH) + 1
    flushed = bytes([1]) * (60 << 10)
    outcomes, right = set(), True
    for seed in range(40):
        target.write_bytes(bytes(1 << 20))
        noted.replay(target, last, random.Random(seed))
        data = target.read_bytes()
        right &= data[4096:64 << 10] == flushed and data[256 << 10:260 << 10] == bytes([4]) * 4096 and data[0] in (1, 3)
        outcomes.add((data[0], data[64 << 10:192 << 10].count(2) >> 12, data[64 << 10:192 << 10].count(5) >> 12))
    target.write_bytes(bytes(1 << 20))
    noted.replay(target, noted.read(), random.Random(0))
    check("the power cut's tool: what was flushed or forced is there, what was not is lost by chance, the whole log is the disk",
          right and len(outcomes) > 15 and any(o[1:] == (0, 0) for o in outcomes) and target.read_bytes() == layer.read_bytes(),
          f"{len(outcomes)} different disks of 40 cuts")
    for path in (layer, log, target):
        path.unlink()
