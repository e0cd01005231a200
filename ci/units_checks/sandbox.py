"""verify and security: what systemd itself says of the units."""

import re
import shutil
import subprocess

from units_checks.overlay import UNITS, make_root, units

# Settings that this systemd may be too old for (the images have 257 and later), by the version that brought them. It
# says so and ignores them, which is no fault of the unit.
NEWER = {"RestartSteps": 254, "RestartMaxDelaySec": 254}

# The most that `systemd-analyze security` may find (0 nothing left to attack, 10 no sandbox). The first two are the
# product's promise; the others keep what was reached. Units that are not named are root's own scripts of the boot and
# update (their work is the whole system), and sshd (whose shells are an administrator's).
LIMITS = {
    "audyn-engine.service": 2.5,
    "audyn-webd.service": 1.5,
    "audyn-chrony.service": 2.5,
    "audyn-ptp4l@.service": 3.0,
    "audyn-phc2sys@.service": 2.5,
    "audyn-ptp-config@.service": 2.5,
    "audyn-time-gate.service": 1.5,
    "audyn-ntp-sources.service": 1.5,
    "audyn-console.service": 2.5,
    "audyn-firewall.service": 3.0,
    "audyn-irq.service": 2.5,
}


def version():
    first = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"systemd (\d+)", first)[1])


def findings(output, have):
    """The lines of `verify` that are about us: not what this systemd is too old for."""
    found = []
    for line in output.splitlines():
        newer = re.search(r"Unknown key (?:name )?'(\w+)' in section", line)
        if newer and NEWER.get(newer[1], 0) > have:
            continue
        if line.strip():
            found.append(line.strip())
    return found


def judge(root, names):
    command = ["systemd-analyze", "verify", "--man=no", f"--root={root}", *names]
    done = subprocess.run(command, capture_output=True, text=True)
    return findings(done.stdout + done.stderr, version())


def verify(verdict, work):
    root = make_root(work)
    names = [name.replace("@.", "@eth0.") for name in units()]
    found = judge(root, names)
    verdict.check(f"verify: {len(names)} units", not found, "; ".join(found[:8]))

    # It can fail: a program that isn't there, a setting that doesn't exist, a dependency on itself.
    for what, text in (
        ("a missing program", "[Service]\nExecStart=/usr/bin/not-there\n"),
        ("an unknown setting", "[Service]\nExecStart=/bin/true\nProtectEverything=yes\n"),
        ("a value that is none", "[Service]\nExecStart=/bin/true\nRestart=sometimes\n"),
    ):
        broken = root / "usr/lib/systemd/system/broken.service"
        broken.write_text(text)
        verdict.check(f"verify refuses {what}", bool(judge(root, ["broken.service"])))
        broken.unlink()
    lint = shutil.which("shellcheck")
    scripts = sorted(
        path for path in (UNITS.parent.parent).glob("audyn-*/*") if path.is_file() and path.read_bytes()[:9] == b"#!/bin/sh"
    )
    done = subprocess.run([lint, "-s", "sh", *scripts], capture_output=True, text=True)
    verdict.check(f"shellcheck: {', '.join(path.name for path in scripts)}", done.returncode == 0, done.stdout[-800:])


def exposure(path, work):
    """What systemd-analyze gives a unit."""
    target = work / path.name.replace("@.", "@test.")
    shutil.copy(path, target)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", target], capture_output=True, text=True
    )
    return float(re.search(r"exposure level for [^:]*: ([0-9.]+)", done.stdout)[1])


def security(verdict, work):
    for name, limit in LIMITS.items():
        have = exposure(UNITS / name, work)
        verdict.check(f"security: {name}", have <= limit, f"{have} of at most {limit}")
    bare = work / "bare.service"
    bare.write_text("[Service]\nExecStart=/usr/bin/audyn-engine\n")
    (work / "copy").mkdir(exist_ok=True)
    verdict.check("security refuses a service without a sandbox", exposure(bare, work / "copy") > 9)
