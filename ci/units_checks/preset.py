"""preset: what starts by itself, and nothing else."""

import fnmatch
import os
import re
import subprocess

from units_checks.overlay import OVERLAY, make_root, of, units

PRESET = OVERLAY / "usr/lib/systemd/system-preset/00-audyn.preset"

# Units with an [Install] section that stay off, and why.
OFF = {"audyn-sshd.service": "until an administrator wants it"}

# Units of the distributions that the preset may name: both images have them, or one of the two, with an [Install] section (RAUC's
# has none: the bus starts it when somebody asks).
FOREIGN = {
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-resolved.service",
    "dbus.service", "dbus.socket", "dbus-broker.service",
}

# What must not start whatever a package does, so it is masked: other hands on the clock, the firewall or the disks, logins; and
# systemd-pstore, whose directory on the state partition nobody bounds (boot-report keeps the last words of the last 3 panics).
MASKED = [
    "getty@.service", "serial-getty@.service", "console-getty.service", "autovt@.service", "debug-shell.service",
    "ctrl-alt-del.target", "nftables.service", "chrony.service", "chronyd.service", "ptp4l.service", "ptp4l@.service",
    "phc2sys.service", "phc2sys@.service", "systemd-timesyncd.service", "ssh.service", "ssh.socket", "sshd.service",
    "sshd@.service", "systemd-repart.service", "systemd-networkd-wait-online.service", "systemd-firstboot.service",
    "systemd-pstore.service",
]
MASKED_GENERATORS = ["systemd-getty-generator", "systemd-gpt-auto-generator", "systemd-ssh-generator"]


def rules(text):
    return [tuple(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def judge(text, installable, known):
    """What is wrong with a preset file, given our units that can be enabled, and the foreign ones that may be named."""
    found, all_rules = [], rules(text)
    if not all_rules or all_rules[-1] != ("disable", "*"):
        found.append("the last line is not `disable *`")
    enabled = [name for verb, name in all_rules if verb == "enable"]
    for name in enabled:
        if any(character in name for character in "*?["):
            found.append(f"{name} enables by a pattern")
        elif name not in installable and name not in known:
            found.append(f"{name} is enabled but does not exist, or has no [Install]")
    for name in installable:
        decided = next(verb for verb, pattern in [*all_rules, ("disable", "*")] if fnmatch.fnmatch(name, pattern))
        if name in OFF and decided == "enable":
            found.append(f"{name} is on; it stays off {OFF[name]}")
        if name not in OFF and decided != "enable":
            found.append(f"{name} has [Install] but is not enabled")
    return found + [f"{name} stands there twice" for name in set(enabled) if enabled.count(name) > 1]


def run(verdict, work):
    text = PRESET.read_text()
    installable = [name for name, path in units().items() if re.search(r"^\[Install\]", path.read_text(), re.M)]
    found = judge(text, installable, FOREIGN)
    verdict.check(f"preset: {len(installable)} units that can be enabled", not found, "; ".join(found))
    for what, broken in (
        ("a unit that isn't there", text.replace("enable audyn-engine", "enable audyn-engin")),
        ("a forgotten unit", text.replace("enable audyn-webd.socket\n", "")),
        ("SSH that is on", "enable audyn-sshd.service\n" + text),
        ("an open end", text.replace("disable *", "")),
    ):
        verdict.check(f"preset refuses {what}", bool(judge(broken, installable, FOREIGN)))

    system = OVERLAY / "etc/systemd/system"
    unmasked = [name for name in MASKED if not (system / name).is_symlink() or os.readlink(system / name) != "/dev/null"]
    verdict.check(f"preset: {len(MASKED)} units of distributions are masked", not unmasked, ", ".join(unmasked))
    generators = OVERLAY / "etc/systemd/system-generators"
    unmasked = [name for name in MASKED_GENERATORS if not (generators / name).is_symlink()]
    verdict.check("preset: generators of logins and mounts are masked", not unmasked, ", ".join(unmasked))

    # What the image builds do, with this machine's systemctl.
    root = make_root(work)
    done = subprocess.run(["systemctl", f"--root={root}", "preset-all"], capture_output=True, text=True)
    verdict.check("preset-all succeeds", done.returncode == 0, done.stderr[-400:] if done.returncode else "")
    missing = []
    for name in installable:
        for target in " ".join(of(units()[name], "Install", "WantedBy")).split():
            link = root / f"etc/systemd/system/{target}.wants/{name}"
            if link.is_symlink() == (name in OFF):
                missing.append(f"{target}.wants/{name}")
    verdict.check("preset-all makes the links, and none for what is off", not missing, ", ".join(missing))
    # Of the units that this machine has beside ours, nothing came on but what is named.
    foreign = sorted(
        path.name for path in (root / "etc/systemd/system").glob("*.wants/*")
        if path.name not in installable and path.name not in FOREIGN and not masked(root, path.name)
        and path.name != "systemd-network-generator.service"  # comes with networkd (Also=): .network files off the command line
    )
    verdict.check("preset-all leaves everything else off", not foreign, ", ".join(foreign))


def masked(root, name):
    path = root / "etc/systemd/system" / name
    return path.is_symlink() and os.readlink(path) == "/dev/null"
