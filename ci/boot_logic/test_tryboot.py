"""The Raspberry Pi: RAUC's backend over autoboot.txt and the one-shot tryboot flag, and boot-report with it."""

from .box import HASH

AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition={}\n[tryboot]\nboot_partition={}\n"


class Firmware:
    """What the Pi's firmware does at a restart."""

    def __init__(self, box):
        self.box = box

    def next_slot(self):
        param = self.box.root / "run/systemd/reboot-param"
        section = "[tryboot]" if param.exists() and param.read_text() == "0 tryboot" else "[all]"
        text = (self.box.root / "efi/autoboot.txt").read_text()
        number = text.split(section)[1].split("boot_partition=")[1].split()[0]
        return {"2": "A", "3": "B"}[number]

    def restart(self, versions, how="reboot"):
        """Clean restart (ExecStop runs), power-off, or reset."""
        box = self.box
        if how != "reset":
            box.flag("jobs", " 1 reboot.target        start waiting\n" if how == "reboot" else " 1 poweroff.target        start waiting\n")
            # Nobody used /efi for a while, and systemd mounts nothing on demand while it shuts down.
            efi, partition = box.root / "efi", box.root / "disk/esp-partition"
            link = box.root / "dev/audyn/esp"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(partition)
            efi.rename(partition)
            efi.mkdir()
            box.script("boot-report", "stop")
            efi.rmdir()
            partition.rename(efi)
            link.unlink()
            box.unflag("jobs")
        slot = self.next_slot() if how != "off" else {"2": "A", "3": "B"}[
            (box.root / "efi/autoboot.txt").read_text().split("boot_partition=")[1][0]]
        box.boot(slot, versions[slot])
        return slot


def pi(make):
    box = make("tryboot")
    (box.root / "efi/autoboot.txt").write_text(AUTOBOOT.format(2, 3))
    box.boot("A", "1")
    return box


def backend(box, *args):
    return box.script("tryboot-backend", *args)


def interface(make, check):
    box = pi(make)

    def said(*args):
        return backend(box, *args).stdout.strip()

    check("pi: fresh: A is primary and runs", said("get-primary") == "A" and said("get-current") == "A" and said("get-state", "B") == "good")
    backend(box, "set-state", "B", "bad")
    check("pi: bad is bad", said("get-state", "B") == "bad")
    backend(box, "set-primary", "B")
    check("pi: primary after set-primary, autoboot.txt untouched", said("get-primary") == "B" and said("get-state", "B") == "good"
          and (box.root / "efi/autoboot.txt").read_text() == AUTOBOOT.format(2, 3))
    backend(box, "set-state", "A", "good")
    check("pi: good for what runs and is committed changes nothing", said("get-primary") == "B")
    backend(box, "set-primary", "A")
    check("pi: and back before any restart", said("get-primary") == "A")
    for args in (("set-primary", "C"), ("get-state", ""), ("set-state", "A", "fine"), ("fly",)):
        check(f"pi: {' '.join(args)} is refused", backend(box, *args).returncode == 1)
    (box.root / "efi/audyn/tryboot").write_bytes(b"\0" * 100)
    check("pi: a damaged record means nothing is pending", said("get-primary") == "A" and said("get-state", "B") == "good")
    (box.root / "efi/autoboot.txt").write_text("")
    backend(box, "set-primary", "B")
    box.boot("B", "2")
    backend(box, "set-state", "B", "good")
    check("pi: a damaged autoboot.txt is written anew", (box.root / "efi/autoboot.txt").read_text() == AUTOBOOT.format(3, 2))
    record, autoboot = box.root / "efi/audyn/tryboot", box.root / "efi/autoboot.txt"
    before = record.stat().st_ino
    backend(box, "set-primary", "A")
    check("pi: the record is one sector and written in place", record.stat().st_ino == before and record.stat().st_size == 512 and said("get-primary") == "A")
    autoboot.write_text("# as somebody liked it\n" + AUTOBOOT.format(3, 2))
    before = autoboot.stat().st_ino
    box.boot("A", "1")
    backend(box, "set-state", "A", "good")
    text = autoboot.read_text()
    check("pi: so is an autoboot.txt that is longer", autoboot.stat().st_ino == before and text.rstrip("\n") + "\n" == AUTOBOOT.format(2, 3), text)
    autoboot.write_text("#" * 600 + "\n" + AUTOBOOT.format(2, 3))
    backend(box, "set-primary", "B")
    box.boot("B", "2")
    backend(box, "set-state", "B", "good")
    check("pi: one longer than a sector is made anew", autoboot.read_text() == AUTOBOOT.format(3, 2))
    check("pi: nothing else lies beside them", sorted(path.name for path in (box.root / "efi").rglob("*") if path.is_file()) == ["autoboot.txt", "tryboot"])
    before = {path: path.read_bytes() for path in (record, autoboot)}
    box.boot("B", "2", run=False)
    box.script("boot-report", "early")
    check("pi: early decides on the trial and writes nothing", before == {path: path.read_bytes() for path in (record, autoboot)}
          and (box.root / "run/audyn/boot/trial").exists())


def trial(make, check):
    box = pi(make)
    firmware = Firmware(box)
    versions = {"A": "1", "B": "2"}
    check("pi: first version marked good", box.script("mark-good").returncode == 0 and box.boot_file("good.A").strip() == HASH["1"])
    box.script("pre-install")
    backend(box, "set-state", "B", "bad")
    backend(box, "set-primary", "B")
    check("pi: power lost before the restart: A, nothing counted", firmware.restart(versions, "reset") == "A" and backend(box, "get", "B_TRY").stdout == "0\n"
          and box.report()["fallback"] is None)
    check("pi: switched off is no try", firmware.restart(versions, "off") == "A" and backend(box, "get", "B_TRY").stdout == "0\n")
    check("pi: the restart tries B", firmware.restart(versions) == "B" and box.report()["trial"] is True)
    before = (box.root / "efi/autoboot.txt").stat().st_ino
    check("pi: mark-good commits it", box.script("mark-good").returncode == 0 and (box.root / "efi/autoboot.txt").read_text() == AUTOBOOT.format(3, 2))
    check("pi: in place", (box.root / "efi/autoboot.txt").stat().st_ino == before)
    check("pi: B stays", firmware.restart(versions, "reset") == "B" and box.report()["trial"] is False and box.report()["fallback"] is None)

    versions = {"A": "3", "B": "2"}
    box.script("pre-install")
    backend(box, "set-primary", "A")
    slots = [firmware.restart(versions)]
    for _ in range(9):
        if box.slot == "A":
            slots.append(firmware.restart(versions, "reset"))
        elif box.rebooted():
            slots.append(firmware.restart(versions))
        else:
            break
    check("pi: a version that hangs is tried three times, then B stays", slots == ["A", "B", "A", "B", "A", "B"], str(slots))
    fallback = box.report()["fallback"] or {}
    check("pi: with the reason", fallback.get("tries") == 3 and "stopped answering" in fallback.get("reason", ""), str(fallback))
    check("pi: given up", backend(box, "get-primary").stdout == "B\n" and backend(box, "get-state", "A").stdout == "bad\n")
    check("pi: and it is quiet after that", firmware.restart(versions) == "B" and not box.rebooted())

    box.script("pre-install")
    backend(box, "set-primary", "A")
    firmware.restart(versions)
    firmware.restart(versions, "reset")
    check("pi: one failed try leads to another", box.rebooted())
    slots = []
    for _ in range(6):  # the power goes each time before the shutdown is done
        slots.append(firmware.restart(versions, "reset"))
    check("pi: and a restart that never gets that far doesn't go round for ever", slots == ["B"] * 6 and not box.rebooted()
          and backend(box, "get-state", "A").stdout == "bad\n", str(slots))


def run(make, check, _skip):
    interface(make, check)
    trial(make, check)
