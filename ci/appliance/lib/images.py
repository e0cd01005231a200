"""Images and bundles for the tests, made by `scripts/image lab` out of one payload: v1 on the disk, v2 and broken v3s to install.

A payload that was built once is only given another version, so a variant takes seconds. What was made is made anew by the next
run, so a test never sees yesterday's build unless it is told to.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import tools
from report import Failed

BOARD = "lab-x86_64"

# What is wrong with a v3, done to a private copy of its root: $PWD is the root, $1 holds vmlinuz, initrd and cmdline.
BROKEN = {
    # The first process of the root brings the kernel down: panic=5 has to restart it.
    "panics": """rm -f usr/sbin/init sbin/init 2>/dev/null
cat >usr/sbin/init <<'END'
#!/bin/sh
mount -t proc proc /proc 2>/dev/null
echo 'audyn test: this version panics'
echo c >/proc/sysrq-trigger
END
chmod 755 usr/sbin/init
""",
    # There is nothing to start.
    "no-init": "rm -f usr/sbin/init sbin/init usr/lib/systemd/systemd\n",
    # It starts, arms nothing new, feeds nothing and does nothing: only the hardware watchdog can end it.
    "hangs": """rm -f usr/sbin/init sbin/init 2>/dev/null
cat >usr/sbin/init <<'END'
#!/bin/sh
echo 'audyn test: this version hangs'
while :; do sleep 1000; done
END
chmod 755 usr/sbin/init
""",
    # It starts, but while the health check still looks on, a process of the highest priority takes the CPU and never gives it
    # back: systemd, which feeds the watchdog, doesn't run any more. (After multi-user.target would be after the check, and the
    # version a good one.)
    "hangs-late": """mkdir -p usr/lib/systemd/system/multi-user.target.wants
cat >usr/lib/systemd/system/test-hang.service <<'END'
[Unit]
After=audyn-engine.service audyn-webd.socket
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo "audyn test: nothing runs any more" >/dev/console; echo -1 >/proc/sys/kernel/sched_rt_runtime_us; exec taskset 1 chrt -f 99 sh -c "while :; do :; done"'
END
ln -s ../test-hang.service usr/lib/systemd/system/multi-user.target.wants/test-hang.service
""",
    # It boots, but its engine ends at once.
    "sick-engine": """rm -f usr/bin/audyn-engine
cat >usr/bin/audyn-engine <<'END'
#!/bin/sh
echo 'audyn test: this engine is broken' >&2
exit 1
END
chmod 755 usr/bin/audyn-engine
""",
}


class Images:
    def __init__(self, folder, report, reuse=False):
        """`reuse`: take what an earlier run left in `folder`, for work on the tests themselves."""
        self.folder, self.report, self.reuse = Path(folder), report, reuse
        self._made = {}

    def _build(self, key, version, *options, mutate=None, keys=None, board=BOARD):
        if key in self._made:
            return self._made[key]
        out = self.folder / key
        if self.reuse and (out / "complete").exists():
            self.report.note(f"{key} is of an earlier run")
            self._made[key] = out / f"audyn-{board}-{version}"
            return self._made[key]
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        command = ["scripts/image", board, "--version", version, "--out", str(out), "--no-xz", *options]
        if board == BOARD and "AUDYN_BIN" in os.environ:
            command += ["--binaries", os.environ["AUDYN_BIN"]]
        if mutate:
            script = out / "mutate.sh"
            script.write_text("set -eu\n" + mutate)
            command += ["--mutate", str(script)]
        began = time.monotonic()
        with open(out / "build.log", "wb") as log:
            done = subprocess.run(command, cwd=tools.ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  env={**os.environ, **({"AUDYN_KEYS": str(keys)} if keys else {})})
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: exit code {done.returncode}: "
                         f"{(out / 'build.log').read_text(errors='replace').strip()[-600:]}")
        self.report.note(f"{key} made by scripts/image lab in {time.monotonic() - began:.0f} s")
        (out / "complete").touch()
        self._made[key] = out / f"audyn-{board}-{version}"
        return self._made[key]

    def disk(self, version):
        """The disk image of a version."""
        return Path(f"{self._build(f'image-{version}', version)}.img")

    def arm_disk(self, version):
        """The disk image of a version for 64-bit ARM; AUDYN_ARM_BIN names its programs, otherwise scripts/cross makes them."""
        programs = os.environ.get("AUDYN_ARM_BIN")
        if not programs:
            programs, began = self.folder / "arm-programs", time.monotonic()
            done = subprocess.run(["scripts/cross", "--out", str(programs)], cwd=tools.ROOT, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True)
            if done.returncode != 0:
                raise Failed(f"scripts/cross: exit code {done.returncode}: {(done.stdout + done.stderr).strip()[-600:]}")
            self.report.note(f"programs for ARM made by scripts/cross in {time.monotonic() - began:.0f} s")
        return Path(f"{self._build(f'arm-{version}', version, '--binaries', str(programs), board='lab-aarch64')}.img")

    def bundle(self, version):
        """The update to a version."""
        if f"image-{version}" in self._made:
            return Path(f"{self._made[f'image-{version}']}.raucb")
        return Path(f"{self._build(f'bundle-{version}', version, '--bundle-only')}.raucb")

    def broken(self, kind, version):
        return Path(f"{self._build(f'broken-{kind}', version, '--bundle-only', mutate=BROKEN[kind])}.raucb")

    def foreign(self, version):
        """An update signed by an authority that the box doesn't know: the same tools with other keys."""
        keys = self.folder / "foreign-keys"
        keys.mkdir(parents=True, exist_ok=True)
        return Path(f"{self._build(f'foreign-{version}', version, '--bundle-only', keys=keys)}.raucb")

    def media(self, name, files):
        """A read-only disk for a machine, with these files {name: path} in it."""
        place = self.folder / f"media-{name}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        content = place / "content"
        content.mkdir()
        size = 64 << 20
        for target, source in files.items():
            try:
                os.link(source, content / target)
            except OSError:
                shutil.copy(source, content / target)
            size += Path(source).stat().st_size * 103 // 100 + (1 << 20)
        image = place / "media.ext4"
        with open(image, "wb") as out:
            out.truncate(size // 4096 * 4096)
        tools.run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N", "64", "-L", "bundles", "-d", content, image)
        shutil.rmtree(content)
        return image
