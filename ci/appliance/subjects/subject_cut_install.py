"""The power goes away at 0, 10 … 100 % of an installation; the boot environment is zeroed; the state partition is full."""

import disk
import writelog
from box import RECORDINGS, Flow

WHOLE = [share / 10 for share in range(11)]
CI = [0.5]


def run(t):
    writelog.prove(t.check, t.work)
    made = t.shared.get("install") or install_once(t)
    media = t.images.media("cut", {"v2.raucb": t.images.bundle("2.0.0")})
    kinds = t.kinds or (["zeroed", "full"] if t.whole else [])
    shares = [int(kind) / 100 for kind in kinds if kind.isdigit()] if t.kinds else WHOLE if t.whole else CI
    if not t.whole:
        t.skip("cuts at 0, 10 … 40, 60 … 100 %, boot environments zeroed, state partition full", "CI does one cut; ci/appliance/run cut_install")
    for share in shares:
        cut_at(t, made, media, share)
    if "zeroed" in kinds:
        environment_zeroed(t, made["image"], ["grubenv"])
        environment_zeroed(t, made["image"], ["grubenv", "grubenv.bak"])
    if "full" in kinds:
        state_full(t, made["image"], media)


def install_once(t):
    """One installation on a configured box, with every write noted."""
    image = t.images.disk("1.0.0")
    box = t.box("install", image=image, log_writes=True, media=t.images.media("once", {"v2.raucb": t.images.bundle("2.0.0")}))
    box.up_and_well()
    box.configure([Flow(2)])
    settings = box.settings()
    begun = box.log.read()
    answer = box.install("v2.raucb")
    ended = box.log.read()
    t.check("an installation to cut", answer.ok, f"{box.log.written(begun, ended) >> 20} MiB written" if answer.ok else str(answer)[-400:])
    log = box.log.keep(t.work / "install.log")
    box.close()
    return {"image": image, "log": log, "begun": begun, "ended": ended, "settings": settings, "identity": box.identity}


def cut_at(t, made, media, share):
    log, name = made["log"], f"cut at {share:.0%}"
    cut = log.at_share(made["begun"], made["ended"], share)
    box = t.box(f"cut-{share:.0%}".replace("%", ""), image=made["image"], media=media, identity=made["identity"])
    lost = log.replay(box.disk, cut, t.dice)
    environment = disk.grubenv(box.disk)
    box.start()
    box.up()
    image = box.image()
    t.check(f"{name}: boots a good slot", image["version"] == "1.0.0" and image["slot"] == "A" or
            image["version"] == "2.0.0" and image["slot"] == "B" and share == 1,
            f"{image['version']} on {image['slot']}, health {image['health']}; {lost}; grubenv then {environment}")
    t.equal(f"{name}: settings whole", box.settings() == made["settings"], True)
    image = box.wait_health()
    if image["version"] == "1.0.0" and share in (0.5, 0.9):
        again = box.install("v2.raucb")
        t.check(f"{name}: the installation can be done again", again.ok, str(again)[-300:] if not again.ok else "")
    box.close()


def environment_zeroed(t, image, names):
    what = " and ".join(names) + " zeroed"
    box = t.box("zeroed-" + "-".join(names), image=image)
    for name in names:
        disk.overwrite_esp(box.disk, f"/audyn/{name}", box.work / "zeros", bytes(1024))
    box.start()
    box.up()
    said = box.serial.find("Audyn:")
    good = box.wait_health()
    t.check(f"{what}: boots a good slot", good["version"] == "1.0.0" and good["slot"] == "A",
            f"{good['version']} on {good['slot']}; the boot loader said: {' | '.join(text for _, text in said)}")
    box.power_off()
    after = disk.grubenv(box.disk)
    t.check(f"{what}: the environment is whole again after the box was found good", bool(after) and after.get("AUDYN_ENV") == "1", f"{after}")
    box.close()


def state_full(t, image, media):
    """Nothing can be written to /state: the box boots, records, and says so."""
    box = t.box("state-full", image=image, media=media)
    flow = Flow(3)
    box.up_and_well()
    box.configure([flow])
    box.send([flow])
    settings = box.settings()
    filled = box.sh("dd if=/dev/zero of=/state/filler bs=1M 2>&1; sync; df /state | tail -n 1; cat /dev/zero >/state/filler2 2>/dev/null; true").text
    t.note(f"filled: {' '.join(filled.split())[-160:]}")
    box.reboot()
    box.prepare()
    image_now = box.image()
    t.check("state partition full: boots a good slot", image_now["version"] == "1.0.0", f"{image_now}")
    t.equal("state partition full: settings whole", box.settings(), settings)
    box.wait_recording([flow], frames=48000)
    t.check("state partition full: it records", True, box.sh(f"du -sk {RECORDINGS}").text.strip())
    answer = box.install("v2.raucb")
    t.note(f"an installation then: code {answer.code}: {' '.join(str(answer).split())[-300:]}")
    if answer.ok:
        box.reboot()
        box.prepare()
        t.note(f"after it: {box.image()}")
    box.sh("rm -f /state/filler /state/filler2; sync")
    box.close()
