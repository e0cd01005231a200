"""accounts: users, and the directories that they get."""

import os
import shlex
import shutil
import subprocess

from units_checks.overlay import OVERLAY, UNITS, make_root, of, units

USERS = OVERLAY / "usr/lib/sysusers.d/audyn.conf"
TMPFILES = OVERLAY / "usr/lib/tmpfiles.d/audyn.conf"

# Where the state partition's files of one version meet the next one's: these numbers never change.
NUMBERS = {"audyn": 480, "audyn-engine": 481, "audyn-webd": 482, "audyn-time": 484, "audyn-ptp": 485, "audyn-chrony": 486}


def entries(path):
    return [shlex.split(line) for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def run(verdict, work):
    ids = {fields[1]: int(fields[2].split(":")[0]) for fields in entries(USERS)}
    verdict.check("accounts: numbers are the ones that the state partitions in the field have", ids == NUMBERS, str(ids) if ids != NUMBERS else "")
    groups = {fields[1]: fields[2].split(":")[1] for fields in entries(USERS) if fields[0] == "u"}
    odd = [name for name, gid in groups.items() if int(gid) not in ids.values()]
    verdict.check("accounts: every user's group is one of ours", not odd, ", ".join(odd))
    shells = [fields[1] for fields in entries(USERS) if len(fields) > 5]
    verdict.check("accounts: nobody has a shell", not shells, ", ".join(shells))

    unknown = []
    for name, path in units().items():
        for key in ("User", "Group"):
            unknown += [f"{name}: {key}={value}" for value in of(path, "Service", key) if value not in ids]
    verdict.check("accounts: the units' users are made", not unknown, ", ".join(unknown))

    root = make_root(work)
    # sysusers wants the two files that every root has.
    for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("group", "root:x:0:\n")):
        (root / "etc" / name).write_text(text)
    done = subprocess.run(["systemd-sysusers", f"--root={root}", USERS], capture_output=True, text=True)
    made = dict(line.split(":")[0:3:2] for line in (root / "etc/passwd").read_text().splitlines())
    right = all(made.get(name) == str(ids[name]) for name in groups)
    verdict.check("accounts: systemd-sysusers makes them", done.returncode == 0 and right, done.stderr[-400:] if not right else "")
    shadow = root / "etc/shadow"
    if shadow.exists():
        shadow.chmod(0o600)  # made without any right, for root
        open_ones = [line.split(":")[0] for line in shadow.read_text().splitlines() if line.split(":")[1][:1] not in ("!", "*")]
        verdict.check("accounts: none of them can log in by a password", not open_ones, ", ".join(open_ones))

    if os.geteuid() != 0:
        verdict.skip("owners of directories", "only root can give files away; run it as root")
        return
    for source in (TMPFILES, OVERLAY / "usr/lib/audyn-storage/recordings.conf"):
        done = subprocess.run(["systemd-tmpfiles", "--create", f"--root={root}", source], capture_output=True, text=True)
        verdict.check(f"accounts: systemd-tmpfiles takes {source.name}", done.returncode == 0 and not done.stderr.strip(), done.stderr[-400:])
        for kind, path, mode, user, group, *_ in entries(source):
            if kind != "d":
                continue
            have = (root / path.lstrip("/")).stat()
            want = (int(mode, 8), 0 if user == "root" else ids[user], 0 if group == "root" else ids[group])
            got = (have.st_mode & 0o7777, have.st_uid, have.st_gid)
            if got != want:
                verdict.check(f"accounts: {path}", False, f"{got}, not {want}")
    # The one that root and the engine share: neither may remove the other's files.
    mode = (root / "run/audyn").stat().st_mode
    verdict.check("accounts: /run/audyn is sticky, root's, and writable for the group", mode & 0o7777 == 0o1770)
    # What keeps the page from writing to recordings, whenever their disk was mounted: owner and modes. Its sandbox's read-only
    # covers only what was mounted before it started, so the page may neither own the archive nor find it writable for its group.
    archive = next(fields for fields in entries(OVERLAY / "usr/lib/audyn-storage/recordings.conf") if fields[1] == "/srv/recordings")
    page = {key: of(UNITS / "audyn-webd.service", "Service", key) for key in ("User", "Group", "SupplementaryGroups", "CapabilityBoundingSet")}
    masks = int(of(UNITS / "audyn-engine.service", "Service", "UMask")[0], 8)
    theirs = of(UNITS / "audyn-engine.service", "Service", "User")
    verdict.check("accounts: recordings are the engine's, and the page's to read only",
                  int(archive[2], 8) & 0o022 == 0 and masks & 0o022 == 0o022 and [archive[3]] == theirs != page["User"]
                  and page["Group"] == [archive[4]] and not page["SupplementaryGroups"] and page["CapabilityBoundingSet"] == [""], f"{archive} {page}")
    writable = of(UNITS / "audyn-engine.service", "Service", "RuntimeDirectory")
    verdict.check("accounts: no unit makes /run/audyn its own", not writable, ", ".join(writable))
    shutil.rmtree(root / "run/audyn")
