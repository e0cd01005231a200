"""A reader of ELF files that knows as much as a check needs: for which machine, how hardened, what it asks of the system.

Written from the System V ABI and its GNU extensions (Linux Standard Base, symbol versioning); 64-bit little-endian only.
"""

import re
import struct
from pathlib import Path

AARCH64 = 183
_LOAD, _DYNAMIC, _INTERP, _STACK, _RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
_NEEDED, _STRTAB, _RPATH, _TEXTREL, _FLAGS, _RUNPATH = 1, 5, 15, 22, 30, 29
_FLAGS_1, _VERNEED, _VERNEEDNUM = 0x6FFFFFFB, 0x6FFFFFFE, 0x6FFFFFFF


class Elf:
    """`machine`, `pie`, `relro` (whole: bound at start, then read-only), `stack_executable`, `writable_code` (a segment or
    relocations), `interpreter`, `needed` (libraries), `search_path` (None is right), `versions` {(library, version)}."""

    def __init__(self, path):
        self.image = image = Path(path).read_bytes()
        if image[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path}: no 64-bit little-endian ELF file")
        kind, self.machine = struct.unpack_from("<HH", image, 16)
        table, = struct.unpack_from("<Q", image, 32)
        size, count = struct.unpack_from("<HH", image, 54)
        # p_type p_flags p_offset p_vaddr p_paddr p_filesz p_memsz p_align
        self._segments = [struct.unpack_from("<IIQQQQQQ", image, table + i * size) for i in range(count)]
        by_kind = {segment[0]: segment for segment in self._segments}
        if _DYNAMIC not in by_kind or _INTERP not in by_kind:
            raise ValueError(f"{path}: not dynamically linked")
        self.interpreter = self._bytes(by_kind[_INTERP]).rstrip(b"\0").decode()
        entries = [entry for entry in struct.iter_unpack("<QQ", self._bytes(by_kind[_DYNAMIC])) if entry[0]]
        only = dict(entries)
        self._strings = self._at(only[_STRTAB])
        flags, flags_1 = only.get(_FLAGS, 0), only.get(_FLAGS_1, 0)
        self.pie = kind == 3 and bool(flags_1 & 0x08000000)
        self.relro = _RELRO in by_kind and bool(flags & 0x8 or flags_1 & 0x1)
        self.stack_executable = _STACK not in by_kind or bool(by_kind[_STACK][1] & 1)
        self.writable_code = (any(s[0] == _LOAD and s[1] & 3 == 3 for s in self._segments) or _TEXTREL in only
                              or bool(flags & 0x4))
        self.needed = [self._string(value) for tag, value in entries if tag == _NEEDED]
        self.search_path = next((self._string(value) for tag, value in entries if tag in (_RPATH, _RUNPATH)), None)
        self.versions = set(self._wanted(only))

    def newest(self, prefix):
        """The newest version of that name, GLIBC say, as numbers; () if there is none."""
        found = (re.fullmatch(prefix + r"_([0-9.]+)", version) for _, version in self.versions)
        return max((tuple(map(int, match[1].split("."))) for match in found if match), default=())

    def _wanted(self, only):
        """Symbol versions asked for: a list of libraries, each with a list of versions; both linked by distances."""
        if _VERNEED not in only:
            return
        at = self._at(only[_VERNEED])
        for _ in range(only[_VERNEEDNUM]):
            _, count, library, first, following = struct.unpack_from("<HHIII", self.image, at)
            entry = at + first
            for _ in range(count):
                _, _, _, name, further = struct.unpack_from("<IHHII", self.image, entry)
                yield self._string(library), self._string(name)
                entry += further
            at += following

    def _bytes(self, segment):
        return self.image[segment[2]:segment[2] + segment[5]]

    def _at(self, address):
        """Where in the file that address is loaded from."""
        for kind, _, offset, start, _, stored, _, _ in self._segments:
            if kind == _LOAD and start <= address < start + stored:
                return offset + address - start
        raise ValueError(f"address {address:#x} is in no segment")

    def _string(self, offset):
        start = self._strings + offset
        return self.image[start:self.image.index(b"\0", start)].decode()
