#!/usr/bin/env python3
"""small_image.py FILE [EFI-NAME [KIND]]: 16 MiB that are an image of Audyn's by all that is looked at, and random bytes besides.

Needs mkfs.fat, mmd and mcopy. An EFI-NAME of `none` leaves the boot loader out; a KIND of `none` leaves out what it says of itself.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from units_checks.disks import LINUX, write_gpt  # noqa: E402

MIB = 1 << 20
SIZES = {"esp": 2, "kernel.0": 2, "kernel.1": 2, "rootfs.0": 2, "rootfs.1": 2, "state": 2, "recordings": 2}


def main(path, efi="BOOTX64.EFI", kind="development"):
    write_gpt(path, 16 * 2048, [(name, LINUX, size) for name, size in SIZES.items()])
    with tempfile.TemporaryDirectory() as scratch, open(path, "r+b") as disk:
        def fat(name, folders, file, text):
            image = Path(scratch) / name
            Path(scratch, "file").write_text(text)
            subprocess.run(["mkfs.fat", "-C", image, "2048"], check=True, capture_output=True)
            for folder in folders:
                subprocess.run(["mmd", "-i", image, f"::/{folder}"], check=True)
            if file:
                subprocess.run(["mcopy", "-i", image, Path(scratch, "file"), f"::/{file}"], check=True)
            return image.read_bytes()

        disk.seek(MIB)
        disk.write(fat("esp", ["EFI", "EFI/BOOT"], None if efi == "none" else f"EFI/BOOT/{efi}", "loader"))
        disk.write(fat("kernel", [], None if kind == "none" else "release", f"AUDYN_BOARD=test\nAUDYN_VERSION=1\nAUDYN_KIND={kind}\n"))
        disk.write(os.urandom(10 * MIB))


if __name__ == "__main__":
    main(*sys.argv[1:])
