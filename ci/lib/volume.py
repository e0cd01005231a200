"""File systems of a check's own on loop devices, and what may befall them. Needs root, in a mount namespace of the check's own."""

import re
import subprocess


def run(*command):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(str(part) for part in command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def fill(path):
    """A file that takes all the room there is."""
    with open(path, "wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(1 << 20))
            except OSError:
                return


class Volume:
    """A file system of our own on a loop device; whatever happens, it is thawed and gone at the end."""

    def __init__(self, work, name="volume", megabytes=96):
        self.below, self.at = work / f"{name}.below", work / name
        self.image, self.ballast = self.below / "image", self.below / "ballast"
        self.below.mkdir()
        self.at.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={megabytes + 16}m", "tmpfs", self.below)
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        # All of it takes room below now, journal and tables as well; what is trimmed does so no more.
        whole = self.image.read_bytes()
        with open(self.image, "r+b") as file:
            file.write(whole)
        self.loop = run("losetup", "--show", "-f", self.image)
        self.frozen = False
        self.mount()

    def mount(self):
        run("mount", "-o", "errors=remount-ro", self.loop, self.at)

    def pull(self):
        """As a disk that is pulled and whose mount is gone: what is open on it stays open, and its mount point is empty."""
        run("umount", "-l", self.at)

    def starve(self):
        """Blocks that hold nothing have no room below any more: what is written to them is taken, and never arrives.

        Those that open files have set aside are found while nothing is written, so that no write has room for a part of it: of such
        a one a loop device says that it was done.
        """
        run("fstrim", self.at)
        self.freeze()
        try:
            for path in self.at.rglob("*.wav"):
                for first, last in re.findall(r":\s+(\d+)\.\.\s*(\d+):\s+\d+:.*unwritten", run("filefrag", "-v", "-b4096", path)):
                    run("fallocate", "-p", "-o", int(first) * 4096, "-l", (int(last) - int(first) + 1) * 4096, self.image)
            fill(self.ballast)
        finally:
            self.thaw()

    def feed(self):
        self.ballast.unlink(missing_ok=True)

    def freeze(self):
        run("fsfreeze", "-f", self.at)
        self.frozen = True

    def thaw(self):
        if self.frozen:
            run("fsfreeze", "-u", self.at)
            self.frozen = False

    def close(self):
        self.thaw()
        subprocess.run(["umount", "-l", str(self.at)], capture_output=True)
        subprocess.run(["losetup", "-d", self.loop], capture_output=True)
        subprocess.run(["umount", "-l", str(self.below)], capture_output=True)
