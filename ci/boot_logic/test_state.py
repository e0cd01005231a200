"""/usr/lib/audyn/state: which settings a version gets, and what a power cut, a full disk or damage leaves of them."""

import os
import subprocess

from .box import HASH


def grown(make, version="1"):
    """A box on which this version is good, with settings."""
    box = make()
    box.boot("A", version)
    box.settings().write_text("studio one\n")
    assert box.health().returncode == 0
    return box


def migration(box, body, name="1-to-2"):
    path = box.lib / "migrations" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def fresh(make, check):
    box = make()
    box.boot("A", "1")
    check("a fresh partition gets generation 1, unproven", box.generations() == [1] and box.meta(1)["good"] == "0")
    check("its parts are where services look", all((box.root / f"var/lib/audyn/{part}").is_dir() for part in ("engine", "web", "system")))
    bound = [name for name in ("log/journal", "lib/rauc", "lib/chrony", "lib/systemd") if (box.root / "var" / name).is_symlink()]
    check("journal, rauc, chrony and systemd are on the partition", len(bound) == 4, str(bound))
    check("ssh keys are not for others", (box.root / "disk/ssh").stat().st_mode & 0o777 == 0o700)
    box.settings().write_text("x")
    box.boot("A", "1")
    check("the next start uses the same generation, proven or not", box.generation() == "1" and box.settings().read_text() == "x")
    box.health()
    check("mark-good proves it", box.meta(1)["good"] == "1" and box.boot_file("good.A").strip() == HASH["1"])
    check("the log has a line a stage", [line.split("stage=")[1].split()[0] for line in box.boot_file("log").splitlines()]
          == ["state", "state", "ready", "passed", "good"], box.boot_file("log"))


def same_root_in_the_other_slot(make, check):
    box = grown(make)
    box.boot("B", "1")
    check("the same root hash in the other slot shares its generation", box.generation() == "1")


def update_and_back(make, check):
    box = grown(make)
    box.boot("B", "2")
    check("a new version gets a copy", box.generation() == "2" and box.settings().read_text() == "studio one\n" and box.meta(2)["from"] == "1")
    box.settings().write_text("studio two\n")
    box.boot("B", "2")
    check("its next try goes on with its copy", box.generation() == "2" and box.settings().read_text() == "studio two\n")
    check("the old one is untouched", (box.root / "disk/gen/1/engine/settings").read_text() == "studio one\n")
    box.boot("A", "1")
    check("the trial failed: the old version has its settings", box.generation() == "1" and box.settings().read_text() == "studio one\n")
    check("and the trial's are gone", box.generations() == [1])
    box.settings().write_text("studio three\n")
    box.boot("B", "2")
    check("the same version tried again begins with the settings of now", box.settings().read_text() == "studio three\n")
    box.health()
    check("good: the newest of each version is kept", box.generations() == [1, 2] and box.meta(2)["good"] == "1", str(box.generations()))
    box.settings().write_text("studio four\n")
    box.boot("A", "1")
    check("rolled back, same format: what was set since comes along", box.generation() == "3" and box.settings().read_text() == "studio four\n")
    box.health()
    check("after that, two are kept", box.generations() == [2, 3], str(box.generations()))
    box.boot("A", "1")
    check("and nothing is copied at an ordinary start", box.generation() == "3" and box.generations() == [2, 3])


def used_for_long(make, check):
    """Rolled back to a version whose health check fails for good on this box: it stays up, and people work with it."""
    box = grown(make)
    box.boot("B", "2")
    box.health()
    box.boot("A", "1")
    box.settings().write_text("months of work\n")
    box.flag("selftest", "no sound card")
    check("rolled back, never healthy: it stays up", box.health().returncode == 1 and not box.rebooted())
    box.boot("A", "1")
    check("its own next start has its settings", box.settings().read_text() == "months of work\n")
    box.boot("B", "3")
    check("an update starts with what was in use, not with what was good long ago", box.settings().read_text() == "months of work\n", box.generation())
    box.settings().write_text("of the trial\n")
    box.boot("A", "1")
    check("and when it fails, it is still there", box.settings().read_text() == "months of work\n", str(box.generations()))
    check("what the trial changed is gone", len([n for n in box.generations() if box.meta(n)["roothash"] == HASH["3"]]) == 0, str(box.generations()))

    box = grown(make)
    box.boot("B", "2")
    box.health()
    box.boot("A", "1", run=False)
    box.settings().write_text("seconds of work\n")
    box.boot("B", "2")
    check("nor are the first seconds after a rollback lost", box.settings().read_text() == "seconds of work\n", box.generation())

    box = grown(make)
    box.boot("B", "2")
    box.health()
    box.boot("A", "1")
    number = box.generation()
    meta = box.root / f"disk/gen/{number}.meta"
    meta.write_text(meta.read_text().replace("good=1", "good=0"))  # as an earlier version of the script left it
    box.settings().write_text("months of work\n")
    box.boot("B", "3")
    check("nothing that a good version may have worked with is deleted", int(number) in box.generations(), str(box.generations()))


def formats(make, check):
    box = grown(make)
    migration(box, 'echo "format two" >>"$1/engine/settings"')
    box.boot("B", "2", fmt=2)
    check("a newer format: migrated on the copy", box.settings().read_text() == "studio one\nformat two\n" and box.meta(2)["format"] == "2")
    box.health()
    box.settings().write_text("in format two\n")
    box.boot("A", "1", fmt=1)
    check("rolled back to the older format: its own last settings, on a copy that is the newest", box.generation() == "3" and box.settings().read_text() == "studio one\n")
    box.settings().write_text("set after the rollback\n")
    box.health()
    box.boot("B", "2", fmt=2)
    check("forward again: what was set last wins, migrated", box.settings().read_text() == "set after the rollback\nformat two\n", box.generation())

    box = grown(make)
    migration(box, "exit 1")
    box.boot("B", "2", fmt=2)
    why = (box.root / "run/audyn/boot/state-failed").read_text()
    check("a migration that fails: the trial works on memory", box.generation() == "memory" and box.generations() == [1], why.strip())
    check("and its health check fails with the reason", box.health().returncode == 1 and "from format 1 to 2" in (box.root / "run/audyn/boot/why").read_text())
    migration(box, 'echo half >"$1/engine/settings"; exit 0', "1-to-2")
    box.boot("B", "3", fmt=3)
    check("a migration that is missing fails as well", box.generation() == "memory" and "from format 2 to 3" in box.alarms(), box.alarms())


def power_cuts(make, check):
    for step, left in (("1", [1]), ("2", [1]), ("3", [1]), ("6", [1]), ("7meta", [1]), ("7", [1, 2]), ("9", [1, 2])):
        box = grown(make)
        result = box.boot("B", "2", cut=step)
        check(f"cut after step {step}: happened there", result.returncode == 99, result.stderr[-200:])
        check(f"cut after step {step}: complete generations only", box.generations() == left, str(box.generations()))
        if step == "6":  # in the middle of the copy
            (box.root / "disk/gen/2.tmp/engine/settings").write_text("stud")
            (box.root / "disk/gen/7.tmp").mkdir()
        box.boot("B", "2")
        rest = [path.name for path in (box.root / "disk/gen").iterdir() if "tmp" in path.name]
        check(f"cut after step {step}: the next start has whole settings and no left-overs",
              box.generation() == "2" and box.settings().read_text() == "studio one\n" and not rest and box.generations() == [1, 2], f"{rest}")
        box.boot("B", "2", cut=step)
        box.boot("A", "1")
        check(f"cut after step {step}, then the old version: its settings", box.settings().read_text() == "studio one\n" and box.generations() == [1])


def mark_good_cuts(make, check):
    for step in ("1", "2", "3", "4", "5"):
        box = grown(make)
        box.set_env(ORDER="B A", B_OK=1, B_TRY=1)
        box.boot("B", "2")
        box.script("health", "check")
        result = box.script("mark-good", cut=step)
        trial = (box.boot_file("good.B") or "").strip() != HASH["2"]
        check(f"mark-good cut after {step}: on trial until step 4", result.returncode == 99 and trial == (step in "123"))
        box.boot("B", "2")
        check(f"mark-good cut after {step}: goes on with its generation", box.generation() == "2")
        check(f"mark-good cut after {step}: the next one ends it", box.health().returncode == 0 and box.boot_file("good.B").strip() == HASH["2"]
              and box.meta(2)["good"] == "1" and box.env("grubenv.bak")["ORDER"] == "B A")


def fill_up(directory):
    out = os.open(directory / "fill", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (65536, 512, 1):
            while True:
                try:
                    os.write(out, b"x" * size)
                except OSError:
                    break
    finally:
        os.close(out)


def full_partition(make, check, skip):
    box = grown(make)
    small = box.root / "disk"
    with_files = box.root / "saved"
    small.rename(with_files)
    small.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode != 0:
        skip("a full partition", "a tmpfs can't be mounted here")
        small.rmdir()
        with_files.rename(small)
        return
    try:
        subprocess.run(["cp", "-a", f"{with_files}/.", small], check=True)
        (small / "gen/1/engine/big").write_bytes(b"x" * 300_000)
        fill_up(small)
        box.boot("A", "1")
        check("full: a version that was good starts with its settings", box.generation() == "1" and box.settings().read_text() == "studio one\n")
        box.boot("B", "2")
        check("full: a new version can't copy; it works on memory", box.generation() == "memory" and box.settings().read_text() == "studio one\n")
        check("full: nothing half is left", box.generations() == [1] and not list((small / "gen").glob("*.tmp")))
        box.set_env(A_GOOD=HASH["1"], A_OK=1)
        check("full: its health check fails with the reason", box.health().returncode == 1 and "full" in (box.root / "run/audyn/boot/why").read_text())
        check("full: and it goes back", box.rebooted())
        (small / "fill").unlink()
        (small / "boot/good.B").write_text(HASH["2"] + "\n")
        fill_up(small)
        box.boot("B", "2")
        check("full: a version that was good, without settings of its own: the other's as they are, with an alarm",
              box.generation() == "1" and "the old one is used" in box.alarms(), f"{box.generation()} {box.alarms()}")
    finally:
        if (box.root / "state").is_symlink():
            (box.root / "state").unlink()
        subprocess.run(["umount", small], check=False)


def damage(make, check):
    box = grown(make)
    (box.root / "disk/gen/1.meta").write_bytes(b"\0" * 60)
    box.boot("A", "1")
    check("a damaged description: the settings are used all the same, with an alarm",
          box.settings().read_text() == "studio one\n" and "damaged" in box.alarms(), box.alarms())
    box.health()
    check("and described anew", box.meta(box.generation(), "good") == "1")
    box = grown(make)
    (box.root / "disk/gen/1.meta").unlink()
    box.boot("B", "2")
    check("a description that is gone: the same", box.settings().read_text() == "studio one\n")
    box = grown(make)
    (box.root / "disk/gen/1.meta").write_text("format=$(touch /tmp/x)\ngood=1\n")
    box.boot("A", "1")
    check("a description is text, not program", box.settings().read_text() == "studio one\n")
    (box.root / "disk/gen/99999999999999999999").mkdir()
    box.boot("A", "1")
    check("a name that no shell can count is left alone", box.settings().read_text() == "studio one\n")

    box = grown(make)
    box.flag("fsck-p", "4")
    box.boot("A", "1")
    check("e2fsck -p can't: -y follows", "e2fsck -y" in box.log() and box.settings().exists())
    box.flag("fsck-y", "8")
    box.boot("A", "1")
    check("nor -y: an alarm, and mounted if it can be", "could not be repaired" in box.alarms() and box.settings().exists())
    box.unflag("fsck-p", "fsck-y")
    box.flag("fsck-p", "1")
    box.boot("A", "1")
    check("corrected is clean", "e2fsck -y" not in box.log())


def no_partition(make, check):
    box = grown(make)
    box.flag("no-mount")
    box.boot("A", "1")
    check("unmountable: settings in memory, alarm, the boot goes on", box.generation() == "1" and not box.settings().exists()
          and "could not be mounted" in box.alarms() and (box.root / "run/audyn/boot/memory").exists())
    check("a version that the ESP knows as good is not on trial then", box.report()["trial"] is False)
    check("its settings are healthy enough to stay up", box.health().returncode != 0 and not box.rebooted(), box.alarms())
    box.set_env(ORDER="B A", B_OK=1)
    box.boot("B", "2")
    check("a new version that can't mount it is on trial", box.report()["trial"] is True)
    check("and goes back", box.health().returncode == 1 and box.rebooted() and "could not be mounted" in (box.root / "run/audyn/boot/why").read_text())
    box.unflag("no-mount")
    box.set_env(A_GOOD=HASH["1"], A_OK=1, A_TRY=2)
    box.boot("A", "1", cut="1")
    box.script("boot-report", "start")
    check("a check of the partition that was ended for taking too long: what the ESP knows as good is not on trial",
          box.report()["trial"] is False and box.env()["A_TRY"] == "0", str(box.env()))
    box.flag("no-mount")
    box.flag("no-tmpfs")
    result = box.boot("A", "1")
    check("not even memory: the boot still goes on", result.returncode == 0, result.stderr[-200:])
    box.unflag("no-tmpfs", "no-mount")
    box.flag("no-bind")
    box.boot("A", "1")
    check("a directory that can't be bound is an alarm", "not on the state partition" in box.alarms())
    box.unflag("no-bind")
    box.boot("A", "1")
    check("the partition is back: so are the settings", box.settings().read_text() == "studio one\n" and box.alarms() == "")


def journals(make, check):
    box = grown(make)
    journal = box.root / "disk/journal"
    own = "0123456789abcdef0123456789abcdef"
    for age, name in enumerate([own, "a" * 32, "b" * 32, "c" * 32, "d" * 32, "remote"]):  # the first is the newest
        (journal / name).mkdir()
        (journal / name / "system.journal").write_text("x")
        os.utime(journal / name, (10_000 - age, 10_000 - age))
    os.utime(journal / own, (1, 1))
    box.boot("A", "1")
    check("journals of other identities: the two newest stay, so that they don't fill the partition",
          sorted(path.name for path in journal.iterdir()) == sorted([own, "a" * 32, "b" * 32, "remote"]), str(sorted(path.name for path in journal.iterdir())))


def run(make, check, skip):
    fresh(make, check)
    same_root_in_the_other_slot(make, check)
    update_and_back(make, check)
    used_for_long(make, check)
    formats(make, check)
    power_cuts(make, check)
    mark_good_cuts(make, check)
    full_partition(make, check, skip)
    damage(make, check)
    no_partition(make, check)
    journals(make, check)
