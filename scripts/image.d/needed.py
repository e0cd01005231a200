"""Prints the shared libraries that ELF files need, and those that they need in turn, as paths inside a root of any
architecture; the interpreter too. `needed.py ROOT FILE…`

Reads the files' dynamic sections; nothing of the root is run, and nothing outside it is looked at.
"""

import os
import struct
import sys

DT_NEEDED, DT_STRTAB = 1, 5


def dynamic(path):
    """The names that one 64-bit little-endian ELF file needs, and its interpreter or None."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] != b"\x7fELF\x02\x01":
        sys.exit(f"{path}: not a 64-bit little-endian ELF file")
    offset, = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    headers = [struct.unpack_from("<IIQQQQQQ", data, offset + i * size) for i in range(count)]
    loads = [(h[3], h[2], h[5]) for h in headers if h[0] == 1]

    def at(address):
        for start, where, length in loads:
            if start <= address < start + length:
                return where + address - start
        sys.exit(f"{path}: address {address:#x} is in no segment")

    def string(where):
        return data[where:data.index(b"\0", where)].decode()

    names, strings, interpreter = [], None, None
    for kind, _, where, _, _, length, _, _ in headers:
        if kind == 3:
            interpreter = string(where)
        if kind == 2:
            for tag, value in struct.iter_unpack("<qQ", data[where:where + length]):
                if tag == DT_NEEDED:
                    names.append(value)
                elif tag == DT_STRTAB:
                    strings = at(value)
    return [string(strings + name) for name in names], interpreter


def find(root, name):
    triples = ("x86_64-linux-gnu", "aarch64-linux-gnu")
    places = [f"usr/lib/{triple}{sub}" for triple in triples for sub in ("", "/systemd")] + ["usr/lib", "usr/lib64"]
    for place in places:
        path = os.path.join(root, place, name)
        if os.path.exists(path):
            return path
    sys.exit(f"{root} has no {name}")


def main():
    root, waiting, seen = sys.argv[1], list(sys.argv[2:]), {}
    while waiting:
        names, interpreter = dynamic(waiting.pop())
        if interpreter:
            names.append(os.path.basename(interpreter))
        for name in names:
            if name not in seen:
                seen[name] = find(root, name)
                waiting.append(seen[name])
    print("\n".join(sorted(seen.values())))


main()
