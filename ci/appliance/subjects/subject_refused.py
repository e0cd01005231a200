"""Updates that must not be installed: wrong key, truncated, wrong board, downgrade. Each is refused with its reason, nothing changes."""

import re
import shutil
import subprocess
from pathlib import Path

import tools


def run(t):
    image = t.images.disk("2.0.0")
    good, older = t.images.bundle("2.0.0"), t.images.bundle("1.0.0")
    truncated = t.images.folder / "truncated.raucb"
    shutil.copy(good, truncated)
    with open(truncated, "r+b") as file:
        file.truncate(good.stat().st_size // 2)
    altered = t.images.folder / "altered.raucb"
    shutil.copy(good, altered)
    with open(altered, "r+b") as file:
        file.seek(good.stat().st_size // 3)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    files = {"foreign.raucb": t.images.foreign("3.0.0"), "truncated.raucb": truncated, "altered.raucb": altered,
             "board.raucb": other_board(t, good), "older.raucb": older}
    box = t.box("box", image=image, media=t.images.media("refused", files))
    box.up_and_well()
    before = fingerprint(box)
    cases = [("wrong key", "foreign.raucb", r"sign|certificate|key|trust"), ("truncated", "truncated.raucb", r"truncat|size|sign|damaged|incomplete|whole"),
             ("wrong board", "board.raucb", r"board|compatible"), ("downgrade", "older.raucb", r"older|downgrade|version")]
    for name, file, reason in cases:
        answer = box.install(file)
        said = " ".join(str(answer).split())
        t.check(f"{name}: refused", not answer.ok, f"code {answer.code}")
        t.check(f"{name}: with its reason", bool(re.search(reason, said, re.I)), said[-400:])
        t.equal(f"{name}: nothing changed", fingerprint(box) == before, True)
    answer = box.install("altered.raucb")
    t.check("one bit altered in the payload: refused", not answer.ok, " ".join(str(answer).split())[-300:])
    environment = box.sh("grub-editenv /efi/audyn/grubenv list").text.split()
    t.check("one bit altered: slot B is not bootable", "B_OK=1" not in environment, f"{environment}")
    box.reboot()
    box.prepare()
    image = box.wait_health()
    t.check("after all that it boots what it ran", image["version"] == "2.0.0" and image["slot"] == "A", f"{image}")
    answer = box.install("older.raucb", "--allow-downgrade")
    t.check("a downgrade that an administrator asks for is taken", answer.ok, " ".join(str(answer).split())[-300:])
    if answer.ok:
        box.reboot()
        box.prepare()
        image = box.wait_health()
        t.check("and runs", image["version"] == "1.0.0" and image["slot"] == "B" and image["health"] == "good", f"{image}")


def fingerprint(box):
    """What a refused update must leave: boot environment, and the other slot's begin (RAUC writes from the begin)."""
    return box.sh("cat /efi/audyn/grubenv | sha256sum; for p in kernel.1 rootfs.1; do dd if=/dev/audyn/$p bs=1M count=8 2>/dev/null | sha256sum; done").text


def other_board(t, bundle):
    """The same payload, signed by the right authority, for another board."""
    place = t.images.folder / "other-board"
    shutil.rmtree(place, ignore_errors=True)
    keys = Path(subprocess.run(["scripts/sign", "development"], cwd=tools.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               text=True, check=True).stdout.strip().splitlines()[-1])
    squash = tools.helpers(t.work / "squash", "mksquashfs", "unsquashfs")
    tools.run("rauc", "--keyring", keys / "keyring.pem", "extract", bundle, place, path=squash)
    manifest = next(place.glob("manifest.raucm"))
    text = manifest.read_text()
    text = re.sub(r"^(sha256|size|verity-\w+)=.*\n", "", text, flags=re.M)  # what rauc itself fills in
    manifest.write_text(re.sub(r"^compatible=.*$", "compatible=audyn-x86_64-efi", text, flags=re.M))
    out = t.images.folder / "board.raucb"
    out.unlink(missing_ok=True)
    tools.run("rauc", "--cert", keys / "signer.pem", "--key", keys / "signer.key", "bundle", place, out, path=squash)
    return out

