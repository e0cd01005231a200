"""Disks of machines, seen from outside while the machine is off: copies, partitions, boot environment, file systems."""

import os
import re
import shutil
import struct
from pathlib import Path

import tools


def copy_sparse(source, target, size=None):
    """Copies what is not a hole; `size` makes the copy longer (a bigger disk than the image)."""
    with open(source, "rb") as src, open(target, "wb") as dst:
        end = os.fstat(src.fileno()).st_size
        os.truncate(dst.fileno(), max(end, size or 0))
        at = 0
        while at < end:
            try:
                start = os.lseek(src.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(src.fileno(), start, os.SEEK_HOLE)
            while start < at:
                start_before = start
                start += os.copy_file_range(src.fileno(), dst.fileno(), at - start, start, start)
                if start == start_before:
                    break


def partitions(disk):
    """{PARTLABEL: (offset, size)} in bytes, by the primary GPT."""
    found = {}
    with open(disk, "rb") as file:
        file.seek(512)
        header = file.read(92)
        if header[:8] != b"EFI PART":
            raise ValueError(f"{disk} has no GPT")
        first, count, length = struct.unpack_from("<QII", header, 72)
        file.seek(first * 512)
        table = file.read(count * length)
    for at in range(0, len(table), length):
        begin, end = struct.unpack_from("<QQ", table, at + 32)
        name = table[at + 56:at + 128].decode("utf-16-le").split("\0")[0]
        if begin and name:
            found[name] = (begin * 512, (end - begin + 1) * 512)
    return found


def extract(disk, name, target):
    """A copy of one partition as a file of its own."""
    offset, size = partitions(disk)[name]
    with open(disk, "rb") as src, open(target, "wb") as dst:
        os.truncate(dst.fileno(), size)
        at, end = offset, offset + size
        while at < end:
            try:
                start = os.lseek(src.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = min(os.lseek(src.fileno(), start, os.SEEK_HOLE), end)
            while start < at:
                src.seek(start)
                chunk = src.read(min(4 << 20, at - start))
                dst.seek(start - offset)
                dst.write(chunk)
                start += len(chunk)
    return Path(target)


def fsck(partition, repair=False):
    """e2fsck of an ext4 partition's copy. Without `repair` nothing is changed and the journal is not replayed."""
    done = tools.run("e2fsck", "-f", "-p" if repair else "-n", partition, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())[-400:]


def tree(partition, folder="/"):
    """All regular files of an ext4 partition's copy: {path: size}."""
    found = {}

    def walk(path):
        text = tools.run("debugfs", "-R", f'ls -p "{path}"', partition).stdout
        for inode, mode, name, size in re.findall(r"^/(\d+)/(\d+)/\d*/\d*/([^/]+)/(\d*)/", text, re.M):
            if name in (".", "..") or inode == "0":
                continue
            below = f"{path.rstrip('/')}/{name}"
            if mode.startswith("04"):
                walk(below)
            elif mode.startswith("10"):
                found[below] = int(size or 0)
    walk(folder)
    return found


def pull(partition, folder, target):
    """Copies a folder of an ext4 partition's copy out, into `target`; what is there already is replaced."""
    shutil.rmtree(target, ignore_errors=True)
    Path(target).mkdir(parents=True)
    tools.run("debugfs", "-R", f'rdump "{folder}" "{target}"', partition)


def written(partition, path):
    """How many bytes of a file of an ext4 partition's copy have been written: its size may vouch for blocks at its end that were set
    aside and never written, which read as zeros."""
    block = int(re.search(r"^Block size: +(\d+)$", tools.run("debugfs", "-R", "show_super_stats -h", partition).stdout, re.M)[1])
    text = tools.run("debugfs", "-R", f'dump_extents -l "{path}"', partition).stdout
    rows = re.findall(r"^ *\d+/ *\d+ +\d+/ *\d+ +\d+ - +(\d+) +\d+ - +\d+ +\d+ *(\w*)$", text, re.M)
    return max((int(last) + 1 for last, flag in rows if flag != "Uninit"), default=0) * block


def _esp(disk):
    return f"{disk}@@{partitions(disk)['esp'][0]}"


def read_esp(disk, path):
    """A file of the ESP, or None."""
    done = tools.run("mtype", "-i", _esp(disk), f"::{path}", check=False, text=False)
    return done.stdout if done.returncode == 0 else None


def overwrite_esp(disk, path, scratch, data):
    """Replaces a file's content in place of the same length, as a damaged sector would; other files stay as they are."""
    Path(scratch).write_bytes(data)
    tools.run("mcopy", "-o", "-i", _esp(disk), scratch, f"::{path}")


def grubenv(disk, path="/audyn/grubenv"):
    """The boot environment as {name: value}; None if it is not there or no environment block."""
    data = read_esp(disk, path)
    if data is None or not data.startswith(b"# GRUB Environment Block\n"):
        return None
    lines = data.decode(errors="replace").rstrip("#").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def file_extents(root, path):
    """Where the bytes of a file of an uncompressed or compressed erofs lie: [(offset in the root, length)]."""
    text = tools.run("dump.erofs", f"--path={path}", "-e", root).stdout
    rows = re.findall(r"^\s*\d+:\s+(\d+)\.\.\s*(\d+)\s*\|\s*(\d+)\s*:\s*(\d+)\.\.\s*(\d+)\s*\|\s*(\d+)", text, re.M)
    return [(int(start), int(length)) for _, _, _, start, _, length in rows]
