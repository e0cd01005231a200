"""audyn-update, RAUC's pre-install handler and audyn-recordings-disk: what they do, and each refusal in one sentence."""

from .box import HASH
from .test_boot import install, two_versions

INFO = "RAUC_FORMAT_VERSION=1\nRAUC_MF_COMPATIBLE='audyn-{board}'\nRAUC_MF_VERSION='{version}'\nRAUC_MF_DESCRIPTION='x'\n"

# What RAUC 1.13 and 1.15 say.
RAUC_SAYS = {
    "wrong key": ("signature verification failed: Verify error: unable to get local issuer certificate", "not signed by an authority"),
    "self-signed": ("signature verification failed: Verify error: self-signed certificate", "not signed by an authority"),
    "wrong purpose": ("signature verification failed: Verify error: unsuitable certificate purpose", "not signed by an authority"),
    "cut short": ("Signature size (13835058055282163712) exceeds bundle size", "damaged or was cut short"),
    "cut shorter": ("Failed to open bundle: bundle size (0) is too small", "damaged or was cut short"),
    "cut oddly": ("Payload size (12345) is not a multiple of 4KiB.", "damaged or was cut short"),
    "no signature": ("failed to parse signature", "damaged or was cut short"),
    "plain": ("Bundle format 'plain' not allowed", "not in the verity format"),
    "something else": ("The moon is full", "The moon is full"),
}


def updates(make, check):
    box = two_versions(make)
    bundle = box.root / "new.raucb"
    bundle.write_text("bundle")
    box.flag("info", INFO.format(board="lab", version="3"))

    def refused(name, result, words):
        lines = result.stderr.strip().splitlines()
        check(f"refused, {name}: one sentence", result.returncode == 1 and len(lines) == 1 and lines[0].startswith("Refused: ")
              and lines[0].endswith(".") and words in lines[0], result.stderr)

    result = box.script("audyn-update", "install", str(bundle))
    check("an update is installed", result.returncode == 0 and "Version 3 is in slot A" in result.stdout and box.env()["ORDER"] == "A B", result.stdout + result.stderr)
    check("what was good in that slot is forgotten first", box.boot_file("good.A") is None and box.env()["A_GOOD"] == "")
    status = box.script("audyn-update", "status").stdout
    check("status: waits for its restart", "Slot A:    new" in status and "Version:   2" in status, status)
    box.boot("A", "3")
    status = box.script("audyn-update", "status").stdout
    check("status: on trial", "on trial" in status and "Slot B:    good" in status, status)
    refused("on trial", box.script("audyn-update", "install", str(bundle)), "still on trial")
    handler = box.script("pre-install")
    check("RAUC itself is held to that", handler.returncode == 1 and handler.stdout.startswith("<< error ") and box.boot_file("good.B") is not None, handler.stdout)
    box.health()
    check("after mark-good there may be the next", box.script("pre-install").returncode == 0)

    box = two_versions(make)
    for name, (said, words) in RAUC_SAYS.items():
        box.flag("info", said)
        box.flag("info-fails")
        refused(name, box.script("audyn-update", "install", str(bundle)), words)
        box.unflag("info-fails")
        box.flag("info", INFO.format(board="lab", version="3"))
        box.flag("install-says", f"LastError: {said}\n")
        refused(f"{name}, by the service", box.script("audyn-update", "install", str(bundle)), words)
        box.unflag("install-says")
    for said, words in (("Failed updating slot rootfs.0: Input/output error", "is damaged, or a disk is"),
                        ("the moon is full", "can't be installed: Installation error: the moon is full.")):
        box.flag("install-says", f"LastError: Installation error: {said}\nInstalling `x` failed\n")
        refused(f"{said}, and RAUC's last line is not the reason", box.script("audyn-update", "install", str(bundle)), words)
        box.unflag("install-says")
    check("none of them restarts or forgets anything", box.boot_file("good.A") is not None and not box.rebooted())
    box.flag("info", INFO.format(board="raspberrypi-cm", version="3"))
    refused("wrong board", box.script("audyn-update", "install", str(bundle)), "for another board (audyn-raspberrypi-cm)")
    for older in ("1", "1.9.9", "2-rc.1", "0.30", "1.10"):
        box.flag("info", INFO.format(board="lab", version=older))
        refused(f"older, {older}", box.script("audyn-update", "install", str(bundle)), "older than 2")
    for newer in ("2", "2.0.1", "10", "3-rc.1"):
        box.flag("info", INFO.format(board="lab", version=newer))
        check(f"{newer} is not older than 2", box.script("audyn-update", "install", str(bundle)).returncode == 0)
        box.boot("B", "2")
    release = box.lib / "release"
    release.write_text(release.read_text().replace("AUDYN_VERSION=2", "AUDYN_VERSION=2-dev.10.ga"))
    box.flag("info", INFO.format(board="lab", version="2-dev.9.gf"))
    refused("older by a number within", box.script("audyn-update", "install", str(bundle)), "older than 2-dev.10.ga")
    box.boot("B", "2")
    box.flag("info", INFO.format(board="lab", version="1"))
    result = box.script("audyn-update", "install", "--allow-downgrade", str(bundle))
    check("--allow-downgrade installs it", result.returncode == 0 and "rauc install --ignore-version-limit" in box.log(), result.stderr)
    refused("no file", box.script("audyn-update", "install", str(box.root / "nothing")), "there is no file")
    refused("a directory", box.script("audyn-update", "install", str(box.root)), "is not a file")
    check("nonsense: usage", box.script("audyn-update", "install").returncode == 64 and box.script("audyn-update", "fly").returncode == 64)

    box = two_versions(make)
    box.flag("info", INFO.format(board="lab", version="3"))
    box.flag("install-cut")
    box.script("audyn-update", "install", str(bundle))
    box.boot("B", "2")
    check("an install that was cut: nothing to go back to, nothing to report", box.report()["fallback"] is None and box.env()["A_OK"] == "0"
          and "nothing to go back to" in box.script("audyn-update", "status").stdout)
    refused("rollback to it", box.script("audyn-update", "rollback"), "no version that was ever good")

    box = two_versions(make)
    for args in (("mark-good", "now"), ("acknowledge", "all"), ("status", "--json"), ("fly",), (), ("install", "-x")):
        result = box.script("audyn-update", *args)
        check(f"audyn-update {' '.join(args)}: one sentence, then usage", result.returncode == 64 and result.stderr.startswith("audyn-update: ") and result.stdout == "", result.stderr)
    for args in (("mark-good", "--help"), ("acknowledge", "-h"), ("rollback", "--help")):
        result = box.script("audyn-update", *args)
        check(f"audyn-update {' '.join(args)}: help, and nothing else", result.returncode == 0 and "audyn-update install FILE" in result.stdout and not box.rebooted(), result.stdout)
    check("acknowledge without a notice says so", "no notice" in box.script("audyn-update", "acknowledge").stderr)
    for args in (("--norestart",), ("--no-restart", "now"), ("A",)):
        check(f"rollback {' '.join(args)}: usage, nothing happens", box.script("audyn-update", "rollback", *args).returncode == 64
              and not box.rebooted() and box.env()["ORDER"] == "B A")
    box = two_versions(make)
    box.settings().write_text("newest\n")
    result = box.script("audyn-update", "rollback")
    check("rollback: one command", result.returncode == 0 and box.rebooted() and box.env()["ORDER"] == "A B", result.stderr)
    box.set_env(A_TRY=1)
    box.boot("A", "1")
    check("rolled back: no trial, settings whole", box.report()["trial"] is False and box.report()["fallback"] is None and box.settings().read_text() == "newest\n")
    box.health()
    check("and forward again", box.script("audyn-update", "rollback", "--no-restart").returncode == 0 and not box.rebooted() and box.env()["ORDER"] == "B A")
    box.set_env(B_TRY=3)
    box.boot("A", "1")
    check("a rollback that fails is a fall-back like another", box.report()["fallback"]["slot"] == "B" and box.env()["ORDER"] == "A B")

    box = two_versions(make)
    install(box, "A")
    box.boot("A", "3")
    result = box.script("audyn-update", "mark-good")
    check("mark-good by hand", result.returncode == 0 and box.report()["trial"] is False and box.boot_file("good.A").strip() == HASH["3"], result.stderr)


def disks(make, check):
    box = make()
    box.boot("A", "1")

    def disk(name, sectors=100_000_000, parts=()):
        block = box.root / "sys/class/block" / name
        (block / "device").mkdir(parents=True)
        (block / "size").write_text(f"{sectors}\n")
        (block / "ro").write_text("0\n")
        (block / "device/model").write_text("Spinning  Rust   \n")
        for number, label in enumerate(parts, 1):
            part = block / f"{name}{number}"
            (part / "holders").mkdir(parents=True)
            (part / "partition").write_text(f"{number}\n")
            (part / "uevent").write_text(f"DEVTYPE=partition\nPARTNAME={label}\n")
            (box.root / f"sys/class/block/{name}{number}").symlink_to(part)
            (box.root / f"dev/{name}{number}").write_text("")
        (box.root / f"dev/{name}").write_text("")

    (box.root / "dev").mkdir()
    (box.root / "proc/mounts").write_text("/dev/sdc1 /mnt ext4 rw 0 0\n")
    disk("sda", parts=("esp", "kernel.0", "kernel.1", "rootfs.0", "rootfs.1", "state", "recordings"))
    disk("sdb", parts=("old stuff",))
    disk("sdc", parts=("data",))
    disk("sdd", sectors=1000)
    disk("sde", parts=("lvm",))
    (box.root / "sys/class/block/sde1/holders/dm-1").write_text("")

    def refused(name, words, device, stdin=""):
        result = box.script("audyn-recordings-disk", device, stdin=stdin)
        check(f"disk refused, {name}", result.returncode == 1 and words in result.stderr and "systemd-repart" not in box.log(), result.stderr)

    refused("the boot disk", "boots from", "/dev/sda", "/dev/sda\nERASE\n")
    refused("mounted", "/dev/sdc1 is mounted", "/dev/sdc", "/dev/sdc\nERASE\n")
    refused("too small", "smaller than 2 GiB", "/dev/sdd", "/dev/sdd\nERASE\n")
    refused("a partition", "whole disk", "/dev/sdb1", "/dev/sdb1\nERASE\n")
    refused("held", "belongs to dm-1", "/dev/sde", "/dev/sde\nERASE\n")
    refused("not there", "no device", "/dev/sdz")
    refused("first answer", "the answer was not /dev/sdb", "/dev/sdb", "yes\nERASE\n")
    refused("second answer", "the answer was not ERASE", "/dev/sdb", "/dev/sdb\nyes\n")
    refused("no answer", "nothing was changed", "/dev/sdb")
    result = box.script("audyn-recordings-disk", "/dev/sdb", stdin="/dev/sdb\nERASE\n")
    check("asked twice, then prepared", result.returncode == 0 and "--empty=force" in box.log() and f"{box.root}/dev/sdb" in box.log()
          and "51 GB, Spinning Rust" in result.stdout, result.stdout + result.stderr + box.log())
    box.flag("no-repart")
    result = box.script("audyn-recordings-disk", "/dev/sdb", stdin="/dev/sdb\nERASE\n")
    check("a failure is said", result.returncode == 1 and "could not be prepared" in result.stderr)


def run(make, check, _skip):
    updates(make, check)
    disks(make, check)
