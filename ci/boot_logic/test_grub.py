"""grub.cfg by GRUB itself: UEFI firmware in an emulated machine, a disk of our layout, and slots that only say their name."""

import re
import shutil

from .tools import REPO

COMMON = REPO / "board/common"
STUB = 'echo "STUB slot=$slot nr=$slot_nr env=$env try=$try skipped=$skipped root=$root_uuid kernel=$kernel"\nhalt\n'
MIB = 1 << 20
# Partitions as board/common/genimage.cfg.in has them, but as small as FAT allows: start and size in MiB.
LAYOUT = {"esp": (1, 34), "kernel.0": (35, 8), "kernel.1": (43, 8), "rootfs.0": (51, 1), "rootfs.1": (52, 1)}
UUID = "0a1b2c3d-0000-4000-8000-00000000000{}"


def block(**values):
    pairs = {"ORDER": "A B", "A_OK": 1, "A_TRY": 0, "B_OK": 1, "B_TRY": 0, "AUDYN_ENV": 1} | values
    text = "# GRUB Environment Block\n" + "".join(f"{key}={value}\n" for key, value in pairs.items() if value is not None)
    return text.encode().ljust(1024, b"#")


def values(data):
    return dict(line.split("=", 1) for line in data.decode(errors="replace").rstrip("#").splitlines()[1:] if "=" in line)


class Machine:
    def __init__(self, tools, work):
        self.tools = tools
        self.work = work
        self.disk = work / "disk.img"
        modules = re.search(r"GRUB_MODULES=\(([^)]*)\)", (COMMON / "assemble").read_text()).group(1).split()
        (work / "grub.cfg").write_text((COMMON / "grub.cfg").read_text())
        (work / "slot.cfg").write_text(STUB)
        partitions = " ".join(f"-n {number}:{start}M:+{size}M -c {number}:{name} -u {number}:{UUID.format(number)}" for number, (name, (start, size)) in enumerate(LAYOUT.items(), 1))
        tools.shell(f"""
grub-mkimage -O x86_64-efi -d /usr/lib/grub/x86_64-efi -p /audyn -o BOOTX64.EFI {' '.join(modules)}
mkfs.fat -C esp.vfat {34 * 1024} >/dev/null
mmd -i esp.vfat ::/EFI ::/EFI/BOOT ::/audyn
mcopy -i esp.vfat BOOTX64.EFI ::/EFI/BOOT/
mcopy -i esp.vfat grub.cfg ::/audyn/
mkfs.fat -C kernel.vfat {8 * 1024} >/dev/null
mcopy -i kernel.vfat slot.cfg ::/
truncate -s 64M disk.img
sgdisk -o {partitions} -t 1:ef00 disk.img >/dev/null
cp /usr/share/OVMF/OVMF_VARS_4M.fd vars.fd""")
        for name, (start, _) in list(LAYOUT.items())[:3]:
            image = work / ("esp.vfat" if name == "esp" else "kernel.vfat")
            self.write(start * MIB, image.read_bytes())
        shutil.copy(self.disk, work / "fresh.img")

    def configure(self, text):
        """Another grub.cfg, from now on."""
        (self.work / "grub.cfg").write_text(text)
        self.tools.shell(f"mcopy -o -i fresh.img@@{MIB} grub.cfg ::/audyn/")

    def write(self, offset, data):
        with open(self.disk, "r+b") as disk:
            disk.seek(offset)
            disk.write(data)

    def boots(self, env, bak, slots=("whole", "whole"), starts=1, skip=None, first=""):
        """Boots with these environment blocks (None: missing) and slots; returns what was said, and both blocks after."""
        shutil.copy(self.work / "fresh.img", self.disk)
        commands = []
        for name, data in (("grubenv", env), ("grubenv.bak", bak)):
            if data is not None:
                (self.work / name).write_bytes(data)
                commands.append(f"mcopy -o -i disk.img@@{MIB} {name} ::/audyn/{name}")
        for number, slot in enumerate(slots):
            offset = LAYOUT[f"kernel.{number}"][0] * MIB
            if slot == "zeroed":
                self.write(offset, bytes(8 * MIB))
            elif slot != "whole":
                (self.work / f"slot{number}").write_text(slot)
                commands.append(f"mcopy -o -i disk.img@@{offset} slot{number} ::/slot.cfg")
        rtc = f" -rtc base={skip}" if skip else ""
        commands += [f"""
for n in $(seq {starts}); do
  timeout 120 qemu-system-x86_64 -accel tcg,tb-size=256 -cpu Nehalem -smp 1 -m 256 -M q35 -nodefaults -display none -no-reboot{rtc} \
    -serial file:serial.$n {first} -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
    -drive if=pflash,format=raw,file=vars.fd -drive file=disk.img,format=raw,if=none,id=d,cache=unsafe \
    -device virtio-blk-pci,drive=d,bootindex=0
done
rm -f after.*
for f in grubenv grubenv.bak; do mcopy -n -i disk.img@@{MIB} ::/audyn/$f after.$f 2>/dev/null || true; done"""]
        self.tools.shell("\n".join(commands))
        said = []
        for number in range(1, starts + 1):
            # Lines are broken at the terminal's width.
            text = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;?=]*[A-Za-z]", "", (self.work / f"serial.{number}").read_text(errors="replace")))
            stub = re.search(r"STUB slot=(\w) nr=(\d) env=(\S*) try=(\d) skipped=(\w*) root=(\S*) kernel=\(hd\d+,gpt(\d)\)", text)
            said.append((stub.groups() if stub else None, text))
        after = [(self.work / f"after.{name}").read_bytes() if (self.work / f"after.{name}").exists() else None for name in ("grubenv", "grubenv.bak")]
        return said, after


def run_all(machine, check):
    def booted(name, wanted, env, bak=None, **more):
        """WANTED: slot, env, try, skipped of the (last) start."""
        said, after = machine.boots(env, block() if bak is None else bak or None, **more)
        got, text = said[-1]
        slot, number, source, tries, skipped, root, part = got or (None,) * 7
        nr = {"A": ("0", "2", UUID.format(4)), "B": ("1", "3", UUID.format(5))}.get(slot)
        check(f"grub: {name}", (slot, source, tries, skipped) == wanted and (number, part, root) == nr, f"{got} {text[-400:] if not got else ''}")
        return after, said

    after, said = booted("whole: the first of ORDER, counted", ("B", "grubenv", "1", ""), block(ORDER="B A"))
    check("grub: in grubenv only", values(after[0])["B_TRY"] == "1" and after[1] == block(), str(after[0][:100]))
    check("grub: each line once, where firmware and GRUB would both write to the serial port", said[0][1].count("slot B, try 1") == 1
          and said[0][1].count("STUB ") == 1, said[0][1][-400:])
    after, said = booted("three tries, then the other slot", ("A", "grubenv", "1", ""), block(ORDER="B A"), starts=4)
    check("grub: tries 1, 2, 3", [got and got[0] + got[3] for got, _ in said] == ["B1", "B2", "B3", "A1"], str([got for got, _ in said]))
    check("grub: the count stays for Linux to read", values(after[0])["B_TRY"] == "3" and values(after[0])["ORDER"] == "B A")
    booted("OK=0 is never tried", ("A", "grubenv", "1", ""), block(ORDER="B A", B_OK=0))
    after, _ = booted("nothing left: counters start again at the first", ("B", "grubenv", "1", ""), block(ORDER="B A", A_TRY=3, B_TRY=3))
    check("grub: and are saved", values(after[0])["A_TRY"] == "0" and values(after[0])["B_TRY"] == "1")
    booted("nothing is OK: the first all the same", ("A", "grubenv", "1", ""), block(A_OK=0, B_OK=0))
    after, _ = booted("grubenv zeroed: by its copy, which counts", ("B", "grubenv.bak", "2", ""), bytes(1024), block(ORDER="B A", B_TRY=1))
    check("grub: the zeroed one is left alone", after[0] == bytes(1024) and values(after[1])["B_TRY"] == "2")
    booted("grubenv cut short", ("B", "grubenv.bak", "1", ""), block()[:60], block(ORDER="B A"))
    booted("grubenv empty", ("B", "grubenv.bak", "1", ""), b"", block(ORDER="B A"))
    booted("grubenv of somebody else", ("B", "grubenv.bak", "1", ""), block(AUDYN_ENV=None), block(ORDER="B A"))
    booted("grubenv missing", ("B", "grubenv.bak", "1", ""), None, block(ORDER="B A"))
    said, _ = machine.boots(bytes(1024), bytes(1024))
    check("grub: both zeroed: some slot, uncounted", said[0][0] is not None and said[0][0][2] == "none", said[0][1][-300:])
    said, _ = machine.boots(None, None)
    check("grub: both missing: some slot", said[0][0] is not None and said[0][0][2] == "none", said[0][1][-300:])
    booted("a slot whose partition is zeroed: the next", ("A", "grubenv", "1", "B"), block(ORDER="B A"), slots=("whole", "zeroed"))
    template = (COMMON / "slot.cfg.in").read_text()
    booted("a slot without its kernel (the real slot.cfg): the next", ("A", "grubenv", "1", "B"), block(ORDER="B A"), slots=("whole", template))
    # What the real slot.cfg tells the kernel, by an echo in the place of `linux`; and a second disk with Audyn, found before the first.
    said_by = template.replace('linux "$kernel/vmlinuz"', 'echo LINUX')
    other = "-drive file=other.img,format=raw,if=none,id=o,cache=unsafe -device virtio-blk-pci,drive=o,bootindex=1"
    machine.tools.shell("cp fresh.img other.img; sgdisk -G other.img >/dev/null")
    for words, cfg in (("", (COMMON / "grub.cfg").read_text()), (" that can't tell UUIDs", re.sub(r"\n +probe .*", "", (COMMON / "grub.cfg").read_text()))):
        machine.configure(cfg)
        before = (machine.work / "other.img").read_bytes()
        (got, text), *_ = machine.boots(block(ORDER="B A"), block(), slots=("whole", said_by), first=other)[0]
        root = re.search(r"LINUX (.*verity 1 (\S+) (\S+) 4096.*) dm-mod.waitfor=(\S+) ", text)
        wanted = "PARTLABEL=rootfs.1" if words else f"PARTUUID={UUID.format(5)}"
        check(f"grub{words}: the root is that of GRUB's own disk, by its UUID if it can be", root and {*root.groups()[1:]} == {wanted}, text[-600:])
        check(f"grub{words}: another disk with the same names is left alone", (machine.work / "other.img").read_bytes() == before)
    machine.configure((COMMON / "grub.cfg").read_text())
    after, _ = booted("a rubbish ORDER, rubbish counters", ("A", "grubenv", "1", ""), block(ORDER="Z rm", A_TRY="x", B_TRY="7"))
    said, _ = machine.boots(block(), block(), slots=("zeroed", "zeroed"))
    check("grub: no slot can be loaded: restarts, after a word", said[0][0] is None and "restarting in 10 s" in said[0][1], said[0][1][-300:])


def run(tools, work, check):
    for name in ("grub.cfg", "slot.cfg.in"):
        (work / name).write_text((COMMON / name).read_text())
        result = tools.run("grub-script-check", work / name, check=False)
        check(f"grub: {name} is a script", result.returncode == 0, result.stderr)
    run_all(Machine(tools, work), check)
