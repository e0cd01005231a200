"""Which hardware is this box's: the disk that gets the recordings, a second disk with Audyn, its name; and /state made anew."""

import shutil

from .box import HASH

SLOTS = ("esp", "kernel.0", "kernel.1", "rootfs.0", "rootfs.1", "state", "recordings")
UUID = "0a1b2c3d-0000-4000-8000-{:012x}"


def disk(box, name, labels, number, uuids=None, model="Spinning Rust"):
    """A disk in /sys and /dev, with udev's links by UUID."""
    block = box.root / "sys/devices" / name
    (block / "device").mkdir(parents=True)
    (block / "size").write_text("100000000\n")
    (block / "ro").write_text("0\n")
    (block / "dev").write_text(f"8:{number}\n")
    (block / "uevent").write_text("DEVTYPE=disk\n")
    (block / "device/model").write_text(f"{model}   \n")
    names = box.root / "sys/class/block"
    links = box.root / "dev/disk/by-partuuid"
    for folder in (names, links):
        folder.mkdir(parents=True, exist_ok=True)
    (names / name).symlink_to(block)
    (box.root / "dev" / name).write_text("")
    for at, label in enumerate(labels, 1):
        part = block / f"{name}{at}"
        (part / "holders").mkdir(parents=True)
        (part / "partition").write_text(f"{at}\n")
        (part / "uevent").write_text(f"DEVTYPE=partition\nPARTNAME={label}\n")
        (names / part.name).symlink_to(part)
        (box.root / "dev" / part.name).write_text("")
        uuid = uuids[at - 1] if uuids else UUID.format(number * 16 + at)
        (links / uuid).unlink(missing_ok=True)
        (links / uuid).symlink_to(box.root / "dev" / part.name)
        box.flag(f"udev.{part.name}", f"ID_PART_ENTRY_NUMBER={at}\nID_PART_ENTRY_UUID={uuid}\n")


def gone(box, name):
    for link in [*(box.root / "sys/class/block").iterdir(), *(box.root / "dev").glob(f"{name}*")]:
        if link.name.startswith(name):
            link.unlink()
    shutil.rmtree(box.root / "sys/devices" / name)
    for link in (box.root / "dev/disk/by-partuuid").iterdir():
        if not link.exists():
            link.unlink()


def machine(make, root="sda"):
    """A box whose root is on this disk."""
    box = make()
    disk(box, root, SLOTS, 0, model="Boot Disk")
    slaves = box.root / "sys/class/block/dm-0/slaves"
    slaves.mkdir(parents=True)
    (slaves / f"{root}4").symlink_to(box.root / "sys/devices" / root / f"{root}4")
    (box.root / "proc/mounts").write_text("")
    (box.root / "proc/sys/kernel/random/uuid").write_text(UUID.format(0xABC) + "\n")
    box.boot("A", "1")
    return box


def chosen(box):
    place = box.root / "run/audyn-storage"
    return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


def choose(box):
    result = box.script("recordings", "choose")
    assert result.returncode == 0, result.stderr
    return chosen(box)


def said(box, name="recordings-disk"):
    path = box.root / "run/audyn/boot" / f"alarm.{name}"
    return path.read_text() if path.exists() else ""


def why(box):
    box.script("boot-report", "compose")
    told = box.report()["recordings"] or {}
    return told.get("disk"), told.get("why"), told.get("name")


def volume(box):
    """What the engine is told of the choice."""
    return (box.root / "run/audyn/boot/recordings-volume").read_text()


def recordings(make, check):
    box = machine(make)
    check("recordings: without a second disk, the box's own, by the number of its disk", choose(box) == ["recordings-8:0"], str(chosen(box)))
    check("recordings: udev looks at that partition again", f"udevadm trigger --action=change {box.root}/sys/class/block/sda7" in box.log(), box.log())
    check("recordings: nothing to say", not said(box) and not said(box, "two-disks"))
    check("recordings: the report says why: there is no other", why(box) == ("own", "only", ""), str(why(box)))
    check("recordings: the engine is told that it is the box's own", volume(box) == "volume=own\n", volume(box))

    disk(box, "sdb", ["old stuff"], 16)
    result = box.script("audyn-recordings-disk", "/dev/sdb", stdin="/dev/sdb\nERASE\n")
    made = (box.root / "run/audyn/boot/recordings-disk.d/10-recordings.conf").read_text()
    check("recordings: a disk that is prepared is remembered, by an identity that we gave it", result.returncode == 0 and f"UUID={UUID.format(0xABC)}" in made
          and "Label=recordings-disk" in made and f"partuuid={UUID.format(0xABC)}" in (box.root / "disk/recordings-disk").read_text(), result.stderr)
    gone(box, "sdb")
    second = [UUID.format(0xABC)]
    disk(box, "sdb", ["recordings-disk"], 16, second)
    check("recordings: under running recorders the choice stays", choose(box) == ["recordings-8:0"])
    box.boot("A", "1")
    check("recordings: from the next start on they go there", choose(box) == [f"recordings-disk-{second[0]}"] and not said(box), str(chosen(box)))
    check("recordings: the engine is told which disk it is, by what no other has", volume(box) == f"volume=disk-{second[0]}\n", volume(box))
    check("recordings: the report says which disk it is", why(box)[:2] == ("second", "remembered") and "51 GB" in why(box)[2], str(why(box)))
    check("recordings: of what is prepared, the update knows nothing: the other version uses it too",
          box.boot("B", "2").returncode == 0 and choose(box) == [f"recordings-disk-{second[0]}"])

    # It comes up after the boot disk.
    gone(box, "sdb")
    box.boot("A", "1")
    (box.root / "dev/late").write_text("")
    box.flag("at-wait", f'ln -s "{box.root}/dev/late" "{box.root}/dev/disk/by-partuuid/{second[0]}"')
    check("recordings: a slow disk is waited for", choose(box) == [f"recordings-disk-{second[0]}"] and "udevadm wait --timeout=60 " in box.log()
          and not said(box), str(chosen(box)))
    box.unflag("at-wait")
    (box.root / "dev/disk/by-partuuid" / second[0]).unlink()

    # It doesn't come, or too late.
    box.boot("A", "1")
    check("recordings: a missing disk: onto the box's own", choose(box) == ["recordings-8:0"])
    check("recordings: with an alarm that names it and the way out, in a report that is out already", "51 GB, Spinning Rust" in said(box)
          and "is missing" in box.alarms() and "--forget" in box.alarms(), box.alarms())
    check("recordings: the engine is told what it records instead of", volume(box) == "volume=own\nmissing=51 GB, Spinning Rust\n", volume(box))
    check("recordings: the report says that it is missing", why(box)[:2] == ("own", "missing") and "51 GB" in why(box)[2], str(why(box)))
    box.script("recordings", "seen")
    check("recordings: nothing came, nothing to say", "is missing" in said(box))
    disk(box, "sdc", ["recordings-disk"], 32, second)
    box.script("recordings", "seen")
    check("recordings: it comes later: not switched to, but said", chosen(box) == ["recordings-8:0"] and "came after the start" in box.alarms()
          and choose(box) == ["recordings-8:0"], box.alarms())
    check("recordings: to the engine nothing has changed by that", volume(box).startswith("volume=own\nmissing="), volume(box))
    check("recordings: the report says that it came late", why(box)[:2] == ("own", "late"), str(why(box)))
    box.boot("A", "1")
    check("recordings: the next start has it, whatever it is called", choose(box) == [f"recordings-disk-{second[0]}"] and not said(box))
    box.script("recordings", "seen")
    check("recordings: the one in use is no news", not said(box))

    # Somebody else's.
    disk(box, "sdd", ["recordings-disk"], 48)
    box.script("recordings", "seen")
    check("recordings: another box's disk is left alone", not said(box) and second[0] in (box.root / "disk/recordings-disk").read_text())
    result = box.script("audyn-recordings-disk", "--use", "/dev/sdd")
    box.boot("A", "1")
    check("recordings: --use takes it, without erasing it", result.returncode == 0 and choose(box) == [f"recordings-disk-{UUID.format(48 * 16 + 1)}"]
          and "systemd-repart" not in box.log(), result.stderr)
    result = box.script("audyn-recordings-disk", "--use", "/dev/sda")
    check("recordings: --use of a disk that isn't one", result.returncode == 1 and "was not prepared" in result.stderr, result.stderr)
    box.script("audyn-recordings-disk", "--forget")
    box.boot("A", "1")
    check("recordings: --forget: the box's own, though disks are there", choose(box) == ["recordings-8:0"] and not said(box))
    check("recordings: the report says that a person chose it", why(box)[:2] == ("own", "forgotten"), str(why(box)))
    for args in ((), ("--forget", "/dev/sdb"), ("--use",), ("sdb",), ("--erase", "/dev/sdb")):
        check(f"recordings: {' '.join(args) or 'no argument'}: usage", box.script("audyn-recordings-disk", *args).returncode == 64)

    # Nothing is known: a new state partition.
    (box.root / "disk/recordings-disk").unlink()
    box.boot("A", "1")
    check("recordings: nothing known and two prepared disks: none of them by chance", choose(box) == ["recordings-8:0"] and "--use DEVICE" in said(box), said(box))
    check("recordings: the report says that there are several", why(box)[:2] == ("own", "several"), str(why(box)))
    gone(box, "sdd")
    box.boot("A", "1")
    check("recordings: nothing known and one: that one, from now on", choose(box) == [f"recordings-disk-{second[0]}"]
          and second[0] in (box.root / "disk/recordings-disk").read_text())
    check("recordings: the report says that it was adopted", why(box)[:2] == ("second", "adopted"), str(why(box)))
    check("recordings: and a person is told that it is in use from now on", "from now on" in said(box, "recordings-adopted"), said(box, "recordings-adopted"))
    (box.root / "disk/recordings-disk").write_text("partuuid=$(touch /tmp/x)\n")
    gone(box, "sdc")
    box.boot("A", "1")
    check("recordings: a damaged note is none", choose(box) == ["recordings-8:0"])
    disk(box, "sde", ["recordings-disk"], 64)
    box.script("recordings", "seen")
    check("recordings: one that comes then is for the next start", "from the next restart on" in said(box), said(box))

    box.flag("no-mount")
    box.boot("A", "1")
    result = box.script("audyn-recordings-disk", "/dev/sde", stdin="/dev/sde\nERASE\n")
    check("recordings: no disk is prepared that would be forgotten", result.returncode == 1 and "not mounted" in result.stderr and "systemd-repart" not in box.log())


def two_disks(make, check):
    box = machine(make, root="sdb")
    check("one disk: updates are not in the way", box.script("pre-install").returncode == 0)
    disk(box, "sdc", ["recordings-disk", "data"], 32)
    choose(box)
    check("a disk of recordings is not a second Audyn", not said(box, "two-disks"))
    # The stick that it was installed from: the same image, the same UUIDs.
    disk(box, "sda", SLOTS, 16, [UUID.format(at) for at in range(1, 8)], model="Stick")
    box.boot("A", "1")
    (box.root / "disk/recordings-disk").write_text("partuuid=none\n")
    check("two disks: the recordings stay on the one that the root is on", choose(box) == ["recordings-8:0"]
          and f"trigger --action=change {box.root}/sys/class/block/sdb7" in box.log(), str(chosen(box)))
    check("two disks: an alarm names them", "(sda, sdb)" in box.alarms() and box.alarms().count("more than once") == 1, box.alarms())
    device = box.script("state", "device", env={"AUDYN_STATE_DEVICE": ""}).stdout.strip()
    check("two disks: the settings come from the one that the root is on", device == f"{box.root}/dev/sdb6", device)
    handler = box.script("pre-install")
    check("two disks: RAUC may not install", handler.returncode == 1 and handler.stdout.startswith("<< error ") and "(sda, sdb)" in handler.stdout
          and handler.stdout.count("\n") == 1, handler.stdout)
    bundle = box.root / "new.raucb"
    bundle.write_text("bundle")
    box.flag("info", "RAUC_MF_COMPATIBLE='audyn-lab'\nRAUC_MF_VERSION='3'\n")
    result = box.script("audyn-update", "install", str(bundle))
    check("two disks: audyn-update says what to do, in one sentence", result.returncode == 1 and result.stderr.startswith("Refused: ")
          and result.stderr.count("\n") == 1 and "(sda, sdb)" in result.stderr and "disconnect" in result.stderr, result.stderr)
    check("two disks: and the other slot is as it was", box.env()["ORDER"] == "A B")
    root_uuid = f'"dm-mod.create=root,,,ro,0 8 verity 1 PARTUUID={UUID.format(4)} PARTUUID={UUID.format(4)} 4096"'
    box.boot("A", "1", more=root_uuid)
    check("two disks, the root by its UUID: one image on both is told from nothing, so the same", choose(box) == ["recordings-8:0"] and "(sda, sdb)" in said(box, "two-disks")
          and box.script("pre-install").returncode == 1, box.alarms())
    gone(box, "sda")
    disk(box, "sda", SLOTS, 16, model="Stick")
    box.boot("A", "1", more=root_uuid)
    check("two disks of different versions, the root by its UUID: nothing can be mixed up", choose(box) == ["recordings-8:0"] and not said(box, "two-disks")
          and box.script("pre-install").returncode == 0, said(box, "two-disks"))
    box.boot("A", "1")
    choose(box)
    check("but by its name (a Raspberry Pi): the alarm", "(sda, sdb)" in said(box, "two-disks") and box.script("pre-install").returncode == 1)
    gone(box, "sda")
    box.boot("A", "1")
    choose(box)
    check("disconnected: no more of that", not said(box, "two-disks") and box.script("pre-install").returncode == 0)

    box = make()
    box.boot("A", "1")
    device = box.script("state", "device", env={"AUDYN_STATE_DEVICE": ""}).stdout.strip()
    check("a root of which the disk isn't known: by the link that udev makes for this disk only", device == f"{box.root}/dev/audyn/state", device)


def names(make, check):
    def name(firmware=None, port=None, serial=None, wifi=None, identity="0123456789abcdef0123456789abcdef"):
        box = make()
        box.boot("A", "1")
        (box.root / "etc/machine-id").write_text(identity + "\n")
        if firmware:
            (box.root / "sys/class/dmi/id").mkdir(parents=True)
            (box.root / "sys/class/dmi/id/product_uuid").write_text(firmware + "\n")
        if serial:
            (box.root / "proc/device-tree").mkdir()
            (box.root / "proc/device-tree/serial-number").write_text(serial + "\0")
        cards = [("eth9", "02:00:00:00:00:99", "3", False, True), ("br0", "02:00:00:00:00:98", "0", False, False)]
        cards += [("enp1s0", port, "0", False, True)] if port else []
        cards += [("aaa0", wifi, "0", True, True)] if wifi else []
        for card, address, assigned, wireless, physical in cards:
            place = box.root / "sys/class/net" / card
            (place / ("device" if physical else "x")).mkdir(parents=True)
            for file, text in (("type", "1"), ("address", address), ("addr_assign_type", assigned)):
                (place / file).write_text(text + "\n")
            if wireless:
                (place / "phy80211").mkdir()
        box.script("first-boot", "start")
        made = (box.root / "proc/sys/kernel/hostname").read_text().strip()
        box.script("first-boot", "start")
        (box.root / "etc/machine-id").write_text("5" * 32 + "\n")
        assert made.startswith("audyn-") and made == (box.root / "var/lib/audyn/system/hostname").read_text().strip()
        return made

    mac, other = "00:1b:21:00:00:01", "00:1b:21:00:00:02"
    good = "4c4c4544-0044-4a10-8051-c4c04f4a4a31"
    check("name: the same machine, the same name, whatever its machine-id", name(good, mac) == name(good, mac, identity="f" * 32))
    check("name: another UUID, another name", name(good, mac) != name(good.replace("31", "32"), mac))
    for placeholder in ("00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "03000200-0400-0500-0006-000700080009"):
        check(f"name: two boxes whose firmware says {placeholder[:8]}…", name(placeholder, mac) != name(placeholder, other) and name(placeholder, mac) == name(None, mac))
        check("name: without a network card, too", name(placeholder) != name(placeholder))
    check("name: no firmware: by the board's serial number", name(None, None, "10000000abcdef01") == name(None, None, "10000000abcdef01", identity="e" * 32)
          != name(None, None, "10000000abcdef02"))
    check("name: Wi-Fi, bridges and addresses by chance don't count", name(None, mac) == name(None, mac, wifi=other))


def damaged(make):
    """A box whose state partition can't be mounted."""
    box = make()
    box.boot("A", "1")
    box.settings().write_text("studio one\n")
    assert box.health().returncode == 0
    box.set_env(A_GOOD=HASH["1"])
    box.flag("no-mount")
    (box.root / "proc/sys/kernel/random/uuid").write_text(UUID.format(1) + "\n")
    return box


def ask(box, name="make-state-anew", text=""):
    (box.root / "efi/audyn" / name).write_text(text)


def asked(box):
    return sorted(path.name for path in (box.root / "efi/audyn").iterdir() if "anew" in path.name)


def boot(box, **more):
    return box.boot("A", "1", **more)


def anew(make, check):
    def made(box):
        return box.log().count("mke2fs ")

    box = damaged(make)
    boot(box)
    check("anew: the alarm about a damaged partition names the cure", "make-state-anew" in box.alarms() and not made(box), box.alarms())
    for name, text in (("make-state-anew", ""), ("make-state-anew.txt", "please\r\n"), ("make-state-anew", "uuid=rm -rf\n")):
        box = damaged(make)
        ask(box, name, text)
        boot(box)
        check(f"anew: {name}: made, mounted, and the file is gone", made(box) == 1 and f"-U {UUID.format(1)} " in box.log() and not asked(box)
              and not box.settings().exists() and box.generation() == "1" and not (box.root / "run/audyn/boot/memory").exists(), box.log())
        check("anew: an alarm and the log say so", "was made anew" in box.alarms() and "stage=anew" in box.boot_file("log"), box.alarms())
        check("anew: a version that was good is not on trial again", box.report()["trial"] is False and box.boot_file("good.A").strip() == HASH["1"])
        check("anew: the EFI partition is put away", not (box.root / "run/audyn/boot/request").is_symlink())
        box.settings().write_text("studio two\n")
        boot(box)
        check("anew: once", not made(box) and box.settings().read_text() == "studio two\n" and box.alarms() == "", box.alarms())
        ask(box)
        (box.root / "proc/sys/kernel/random/uuid").write_text(UUID.format(2) + "\n")
        boot(box)
        check("anew: asked again, done again, on a partition that is whole too", made(box) == 1 and not box.settings().exists() and not asked(box))

    box = damaged(make)
    (box.root / "efi/audyn/make-state-anew").mkdir()
    boot(box)
    check("anew: a folder of that name is not obeyed, and the alarm says so", not made(box) and "make-state-anew on the EFI partition is a folder" in box.alarms(), box.alarms())

    for cut, times in (("0a", 1), ("0b", 0)):
        box = damaged(make)
        ask(box)
        boot(box, cut=cut)
        check(f"anew: power cut after {cut}: the file is still there", asked(box) == ["make-state-anew"])
        (box.root / "proc/sys/kernel/random/uuid").write_text(UUID.format(9) + "\n")
        boot(box)
        check(f"anew: power cut after {cut}: finished at the next start", made(box) == times and not asked(box) and (box.root / "disk/gen").is_dir()
              and "was made anew" in box.alarms() and box.boot_file("good.A") is not None, box.log())
    box = damaged(make)
    ask(box)
    boot(box, cut="0b")
    box.flag("esp-ro")
    boot(box)
    box.settings().write_text("studio two\n")
    boot(box)
    check("anew: a file that can't be removed is not obeyed again", not made(box) and asked(box) and box.settings().read_text() == "studio two\n", box.alarms())
    box = damaged(make)
    ask(box)
    box.flag("esp-ro")
    boot(box)
    check("anew: a file that can't be written to is not obeyed", not made(box) and "can't be written to" in box.alarms(), box.alarms())
    box = damaged(make)
    ask(box)
    (box.fake / "bin/sync").write_text('#!/bin/sh\ncase $2 in */make-state-anew) : >"$2" ;; esac\n')
    boot(box)
    check("anew: nor one that does not keep what is written", not made(box) and "can't be written to" in box.alarms(), box.alarms())
    box = damaged(make)
    ask(box)
    box.flag("no-mkfs")
    boot(box)
    check("anew: a broken disk: an alarm, settings in memory, the boot goes on", "is the disk broken" in box.alarms() and (box.root / "run/audyn/boot/memory").exists())
    box.unflag("no-mkfs")
    boot(box)
    check("anew: and tried again", made(box) == 1 and not asked(box))
    box = damaged(make)
    box.flag("no-esp")
    ask(box)
    check("anew: no EFI partition: the boot goes on", boot(box).returncode == 0 and not made(box))


def run(make, check, _skip):
    recordings(make, check)
    two_disks(make, check)
    names(make, check)
    anew(make, check)
