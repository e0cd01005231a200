"""The overlay as the checks see it: its files, its units, and a root in which systemd's own tools can look at them."""

import os
import shutil
import stat
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OVERLAY = ROOT / "rootfs-overlay"
UNITS = OVERLAY / "usr/lib/systemd/system"
KINDS = (".service", ".socket", ".mount", ".automount", ".path", ".timer", ".target")


def units():
    """Unit files of the overlay by name; drop-ins are not among them."""
    return {path.name: path for path in sorted(UNITS.iterdir()) if path.suffix in KINDS and path.is_file()}


def settings(text):
    """The lines of a unit file: (number, section, key, value), continuation lines joined."""
    found, section, number, held = [], "", 0, ""
    for raw in text.splitlines():
        number += 1
        line = held + raw.strip()
        held = ""
        if not line or line[0] in "#;":
            continue
        if line.endswith("\\"):
            held = line[:-1] + " "
        elif line.startswith("["):
            section = line.strip("[]")
        elif "=" in line:
            key, value = line.split("=", 1)
            found.append((number, section, key.strip(), value.strip()))
    return found


def of(path, section, key):
    """All values of a key, in order."""
    return [value for _, s, k, value in settings(path.read_text()) if (s, k) == (section, key)]


def programs():
    """Absolute paths of everything that the units start."""
    found = set()
    for path in list(units().values()) + sorted(UNITS.glob("*.d/*.conf")):
        for _, _, key, value in settings(path.read_text()):
            if key.startswith("Exec") and value:
                found.add(value.lstrip("-+!@:").split()[0])
    return sorted(found)


def make_root(work):
    """A root for systemd's tools: this machine's units, the overlay over them, and stubs for what the units start."""
    root = work / "root"
    if root.exists():
        return root
    for source in ("/usr/lib/systemd/system", "/lib/systemd/system"):
        if Path(source).is_dir() and not Path(source).is_symlink():
            for path in Path(source).iterdir():
                target = root / "usr/lib/systemd/system" / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                if path.is_symlink():
                    target.unlink(missing_ok=True)
                    os.symlink(os.path.basename(os.readlink(path)) if "systemd/system" in os.readlink(path) else os.readlink(path), target)
                elif path.is_file():
                    shutil.copy(path, target)
                elif path.suffix == ".wants":
                    shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
            break
    shutil.copytree(OVERLAY, root, symlinks=True, dirs_exist_ok=True)
    for link in ("bin", "sbin", "lib"):
        os.symlink(f"usr/{link}", root / link)
    for program in programs() + ["/usr/sbin/nologin"]:
        path = root / program.lstrip("/")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("#!/bin/sh\n")
            path.chmod(0o755)
    # Units of packages that the images have and this machine may not.
    stubs = {"rauc.service": None, "systemd-resolved.service": "sysinit.target", "dbus-broker.service": "multi-user.target",
             "systemd-networkd.service": "multi-user.target", "systemd-pstore.service": "sysinit.target"}
    for name, target in stubs.items():
        path = root / "usr/lib/systemd/system" / name
        if not path.exists():
            install = f"[Install]\nWantedBy={target}\n" if target else ""
            path.write_text(f"[Service]\nExecStart=/bin/true\n{install}")
    for program in ("bin/true",):
        path = root / "usr" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return root
