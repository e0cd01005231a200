"""boot-report, health and mark-good: what is tried, what is given up and why, and who may restart the box."""

import json
import os

from .box import HASH

RECORD = "efi/audyn/grubenv"
FORM = {"name": str, "board": str, "version": str, "kind": ("release", "development", "lab"), "slot": ("A", "B"), "trial": bool,
        "health": ("pending", "good", "failed"), "recordings": (dict, type(None)), "fallback": (dict, type(None)), "alarms": list}


def acceptable(report):
    """What webd/server/src/system.rs takes: these fields and no others, these values and no others."""
    def fits(value, form):
        if isinstance(form, tuple) and isinstance(form[0], str):
            return value in form
        return isinstance(value, form)
    return list(report) == list(FORM) and all(fits(report[key], form) for key, form in FORM.items()) and all(isinstance(a, str) for a in report["alarms"])


def two_versions(make):
    """Version 1 good in A, version 2 good in B and running: what a box looks like after its first update."""
    box = make()
    box.boot("A", "1")
    box.settings().write_text("studio one\n")
    box.health()
    box.set_env(ORDER="B A", B_OK=1, B_TRY=1)
    box.boot("B", "2")
    box.health()
    return box


def install(box, other="A"):
    """What RAUC does to the record."""
    assert box.script("pre-install").returncode == 0
    here = "B" if other == "A" else "A"
    box.set_env(**{"ORDER": f"{other} {here}", f"{other}_OK": 1, f"{other}_TRY": 0})


def tried(box, slot, count=3):
    box.set_env(**{f"{slot}_TRY": count})


def ordinary(make, check):
    box = make()
    box.set_env(A_TRY=1)
    box.boot("A", "1")
    check("the first start of all is a trial", box.report()["trial"] is True and box.report()["health"] == "pending")
    check("whose tries count", box.env()["A_TRY"] == "1")
    issue = (box.root / "run/issue.d/audyn.issue").read_text()
    check("the console says so", "Audyn 1 (lab, lab), slot A, on trial" in issue, issue)
    check("health passes, mark-good follows", box.health().returncode == 0)
    report = box.report()
    check("the report has the contract's form", report == {"name": "", "board": "lab", "version": "1", "kind": "lab", "slot": "A", "trial": False,
                                                           "health": "good", "recordings": None, "fallback": None, "alarms": []}, json.dumps(report))
    check("the record says good, its copy too", box.env()["A_TRY"] == "0" and box.env()["A_GOOD"] == HASH["1"] and box.env("grubenv.bak") == box.env())
    check("the watch took 60 s in steps of 5", box.log().count("sleep 5") == 12)
    box.set_env(A_TRY=2)
    box.boot("A", "1")
    check("a good version's counter goes back as soon as it runs", box.env()["A_TRY"] == "0" and box.report()["trial"] is False)
    check("a stop leaves a line", box.script("boot-report", "stop").returncode == 0 and box.boot_file("log").splitlines()[-1].endswith("stage=stop"))
    for _ in range(420):
        with open(box.root / "disk/boot/log", "a", encoding="ascii") as log:
            log.write("line\n")
    box.boot("A", "1")
    check("the log stays short", len(box.boot_file("log").splitlines()) <= 201)
    check("a report readable by others", (box.root / "run/audyn/image.json").stat().st_mode & 0o777 == 0o644)


def fallen_back(make, check):
    def case(name, prepare, words, tries=3, skipped="", after=None):
        box = two_versions(make)
        install(box, "A")
        (box.root / "disk/rauc/central.raucs").write_text(
            "[slot.rootfs.1]\nbundle.version=2\n\n[slot.rootfs.0]\nbundle.compatible=audyn-lab\nbundle.version=3\nstatus=ok\n\n[slot.kernel.0]\nbundle.version=9\n")
        prepare(box)
        tried(box, "A", tries)
        box.boot("B", "2", skipped=skipped)
        if after:
            after(box)
        fallback = box.report()["fallback"] or {}
        check(f"given up, {name}: the reason", words in fallback.get("reason", ""), json.dumps(fallback))
        check(f"given up, {name}: slot, version, tries", (fallback.get("slot"), fallback.get("version"), fallback.get("tries")) == ("A", "3", tries), json.dumps(fallback))
        env = box.env()
        check(f"given up, {name}: the order goes back, the slot is not tried again", env["ORDER"] == "B A" and env["A_OK"] == "0" and env["B_OK"] == "1")
        check(f"given up, {name}: settings whole", box.settings().read_text() == "studio one\n")
        return box

    def userspace(box, stop=False):
        for _ in range(3):
            box.boot("A", "3")
            if stop:
                box.script("boot-report", "stop")

    def fails_health(box):
        for _ in range(3):
            box.boot("A", "3")
            box.flag("selftest", '{"ok": false, "reason": "no \\"sound\\" came"}')
            box.health()
            assert box.rebooted()
            box.script("boot-report", "stop")
        box.unflag("selftest")

    def panics(box):
        userspace(box)
        pstore = box.root / "sys/fs/pstore"
        pstore.mkdir(parents=True, exist_ok=True)
        (pstore / "dmesg-efi-1").write_bytes(b"Panic#1 Part1\n<4>[   12.345678] some line\n<0>[   12.5] Kernel panic - not syncing: sysrq triggered crash\x00\xff\n")

    def watchdog(box):
        userspace(box)
        (box.root / "sys/class/watchdog/watchdog0").mkdir(parents=True, exist_ok=True)
        (box.root / "sys/class/watchdog/watchdog0/bootstatus").write_text("32\n")

    case("no line of it", lambda box: None, "its kernel or its init never came up")
    box = case("health", fails_health, "its health check failed: the engine's self-test failed")
    check("a reason with quotes is JSON", 'no \\"sound\\" came' in box.report()["fallback"]["reason"] or 'no "sound" came' in box.report()["fallback"]["reason"])
    issue = (box.root / "run/issue.d/audyn.issue").read_text()
    check("the console has the reason", "Slot A (version 3) was given up: its health check failed" in issue, issue)
    check("its .why is used up", box.boot_file("A.why") is None and box.boot_file("good.A") is None)
    check("good again", box.health().returncode == 0)
    check("a mark-good of the version that stayed keeps the notice", box.report()["fallback"] is not None)
    box.boot("B", "2")
    check("so does the next start", box.report()["fallback"]["tries"] == 3)
    install(box, "A")
    box.boot("A", "3")
    check("a new try shows it still", box.report()["fallback"] is not None)
    box.health()
    check("until the slot holds a good version", box.report()["fallback"] is None and box.env()["ORDER"] == "A B")
    box = case("a panic", panics, "its kernel stopped: Kernel panic - not syncing: sysrq triggered crash",
               after=lambda box: check("pstore is emptied, and kept", not list((box.root / "sys/fs/pstore").iterdir())
                                       and len(list((box.root / "disk/boot/pstore").iterdir())) == 1))
    check("acknowledge removes the notice", box.script("audyn-update", "acknowledge").returncode == 0 and box.report()["fallback"] is None)
    case("watchdog", watchdog, "it stopped answering and the watchdog reset it")
    case("a hang or the power", userspace, "it stopped answering before its health check was done")
    case("restarted by somebody", lambda box: userspace(box, stop=True), "restarted each time")
    case("unreadable", lambda box: None, "the boot loader could not load its kernel", tries=1, skipped="A")

    box = two_versions(make)
    archived = box.root / "state/systemd/pstore/1234"
    install(box, "A")
    archived.mkdir(parents=True)
    (archived / "dmesg.txt").write_text("<2>[ 1.0] Oops: something\n[ 2.0] Kernel panic - not syncing: Fatal exception\n")
    tried(box, "A")
    box.boot("B", "2")
    check("a panic that systemd-pstore took is found", "Fatal exception" in box.report()["fallback"]["reason"], box.report()["fallback"]["reason"])
    install(box, "A")
    tried(box, "A")
    os.utime(archived / "dmesg.txt", (1, 1))
    box.boot("B", "2")
    check("but only once", "never came up" in box.report()["fallback"]["reason"], box.report()["fallback"]["reason"])

    box = two_versions(make)
    install(box, "A")
    box.boot("B", "2")
    check("an update that waits for its restart is no failure", box.report()["fallback"] is None and box.env()["ORDER"] == "A B")
    box.health()
    check("nor does mark-good touch the order", box.env()["ORDER"] == "A B" and box.env("grubenv.bak")["ORDER"] == "A B")

    box = two_versions(make)
    install(box, "A")
    tried(box, "A")
    (box.root / "disk/boot/good.B").unlink()
    box.boot("B", "2")
    check("given up by a version that is on trial itself: said, but nothing is closed", box.report()["fallback"] is not None and box.env()["A_OK"] == "1")


def flickers(make, check):
    """The mains go three times before userspace of a good version gets to its counter."""
    box = two_versions(make)
    box.set_env(B_TRY=3)
    box.boot("A", "1")
    env = box.env()
    check("a good version that was cut off three times: this one goes first, with a notice", env["ORDER"] == "A B" and box.report()["fallback"]["slot"] == "B")
    check("but it stays good, and can be gone back to", env["B_OK"] == "1" and env["B_TRY"] == "0" and env["B_GOOD"] == HASH["2"]
          and box.boot_file("good.B").strip() == HASH["2"], str(env))
    check("in one command", "Slot B:    good" in box.script("audyn-update", "status").stdout
          and box.script("audyn-update", "rollback", "--no-restart").returncode == 0 and box.env()["ORDER"] == "B A")


def record(make, check):
    def damaged(name, do, words, order):
        box = two_versions(make)
        do(box.root / RECORD, box.root / (RECORD + ".bak"))
        box.boot("B", "2")
        env = box.env()
        check(f"record {name}: whole again", env is not None and env.get("AUDYN_ENV") == "1" and env["ORDER"] == order, str(env))
        check(f"record {name}: an alarm says so", words in box.alarms(), box.alarms())
        box.health()
        check(f"record {name}: and its copy after mark-good", box.env("grubenv.bak") == box.env() and box.env()["B_GOOD"] == HASH["2"])
        box.boot("B", "2")
        check(f"record {name}: the next start is quiet", box.alarms() == "")

    damaged("zeroed", lambda env, bak: env.write_bytes(bytes(1024)), "restored from its copy", "B A")
    damaged("empty", lambda env, bak: env.write_bytes(b""), "restored from its copy", "B A")
    damaged("cut short", lambda env, bak: env.write_bytes(env.read_bytes()[:60]), "restored from its copy", "B A")
    damaged("missing", lambda env, bak: env.unlink(), "restored from its copy", "B A")
    damaged("and copy zeroed", lambda env, bak: (env.write_bytes(bytes(1024)), bak.write_bytes(bytes(1024))), "a new one was made", "B A")
    damaged("and copy missing", lambda env, bak: (env.unlink(), bak.unlink()), "a new one was made", "B A")
    box = two_versions(make)
    (box.root / (RECORD + ".bak")).write_bytes(b"junk")
    box.boot("B", "2")
    box.health()
    check("a damaged copy is replaced at mark-good", box.env("grubenv.bak") == box.env())


def in_place(make, check):
    """Nothing on the ESP is renamed or emptied, and of the two blocks one is whole at each instant."""
    box = two_versions(make)
    blocks = [box.root / RECORD, box.root / (RECORD + ".bak")]
    before = [path.stat().st_ino for path in blocks]
    install(box, "A")
    tried(box, "A")
    box.boot("B", "2")
    box.health()
    blocks[0].write_bytes(bytes(1024))
    box.boot("B", "2")
    log = box.log()
    box.health()
    blocks[1].write_bytes(b"junk" * 256)
    box.boot("B", "2")
    log += box.log()
    check("the record and its copy are written in place", [path.stat().st_ino for path in blocks] == before)
    check("each while the other is whole", log.count("the other is whole") >= 2 and "torn" not in log, log)
    check("nothing else lies beside them", sorted(path.name for path in (box.root / "efi/audyn").iterdir()) == ["grubenv", "grubenv.bak"])
    check("a copy that was damaged is made of the record at the next start", box.env("grubenv.bak") == box.env() and box.alarms() == "", box.alarms())
    blocks[1].unlink()
    box.set_env(B_TRY=1)
    box.boot("B", "2")
    check("and one that is gone, before the record is written", box.env("grubenv.bak")["B_TRY"] == "1" and box.env()["B_TRY"] == "0", box.log())

    for name in ("grubenv", "grubenv.bak"):
        box = two_versions(make)
        install(box, "A")
        box.set_env(A_TRY=1)
        box.boot("A", "3")
        box.flag("cut-dd", name)
        box.health()
        box.unflag("cut-dd")
        check(f"the power goes while {name} is written: it is torn", box.env(name) is None)
        box.boot("A", "3")
        check(f"the power goes while {name} is written: both are whole at the next start", box.env() is not None and box.env("grubenv.bak") is not None
              and box.env()["A_OK"] == box.env()["B_OK"] == "1", str(box.env()))


def early(make, check):
    box = two_versions(make)
    box.set_env(B_TRY=2)
    box.boot("B", "2", run=False)
    check("early: without it nothing is counted back", box.env()["B_TRY"] == "2")
    box.script("boot-report", "early")
    check("early: a good version's counter goes back before the system is up", box.env()["B_TRY"] == "0" and not (box.root / "run/audyn/image.json").exists())
    box.set_env(B_TRY=1)
    box.script("boot-report", "start")
    check("early: once a boot, and the report comes later", box.env()["B_TRY"] == "1" and acceptable(box.report()) and box.report()["trial"] is False)
    install(box, "A")
    box.set_env(A_TRY=2)
    box.boot("A", "3", run=False)
    box.script("boot-report", "early")
    check("early: a trial counts", box.env()["A_TRY"] == "2" and (box.root / "run/audyn/boot/trial").read_text() == "1\n")
    (box.root / RECORD).write_bytes(b"")
    box.boot("B", "2", run=False)
    box.script("boot-report", "early")
    check("early: the record is repaired then, and the alarm is in the report", box.env() is not None)
    box.script("boot-report", "start")
    check("early: the alarm is in the report", "restored from its copy" in box.alarms(), box.alarms())
    box = two_versions(make)
    box.set_env(B_TRY=3)
    box.boot("B", "2")
    check("early: if it was not run, the report does it", box.env()["B_TRY"] == "0")


def damaged_release(make, check):
    for name, text, missing in (("missing", None, "kind, board, version"), ("empty", "", "kind, board, version"), ("of bytes", "\0\1\2" * 40, "kind, board, version"),
                                ("of an unknown kind", "AUDYN_VERSION=2\nAUDYN_BOARD=lab\nAUDYN_STATE_FORMAT=1\nAUDYN_KIND=gold\n", "kind"),
                                ("cut short", "AUDYN_VERSION=2\nAUDYN_BOA", "kind, board")):
        box = two_versions(make)
        box.boot("B", "2", run=False)
        path = box.lib / "release"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        box.script("boot-report", "early")
        box.script("boot-report", "start")
        check(f"a release file {name}: the report can be read, and says so", acceptable(box.report()) and f"(not known: {missing})" in box.alarms()
              and box.report()["kind"] == "development", json.dumps(box.report()))
    box = two_versions(make)
    (box.root / "run/audyn/boot/health").write_text("maybe\n")
    (box.root / "run/audyn/boot/alarm.x").write_text("x" * 100000)
    box.script("boot-report", "compose")
    check("nor does anything else in it keep the report from being read", acceptable(box.report()) and box.report()["health"] == "pending"
          and (box.root / "run/audyn/image.json").stat().st_size < 10000)


def esp(make, check):
    """esp-check: only a file system that says it was not put away, and never one that is mounted."""
    box = make()
    box.boot("A", "1")
    device = box.root / "dev/audyn/esp"
    device.parent.mkdir(parents=True, exist_ok=True)
    (box.root / "proc/self").mkdir(parents=True)
    mounts = box.root / "proc/self/mounts"

    def checked(kind, dirt, mounted=False, code="1"):
        sector = bytearray(512)
        where, name, flag = {32: (82, b"FAT32   ", 65), 16: (54, b"FAT16   ", 37), 0: (0, b"", 0)}[kind]
        sector[where:where + len(name)] = name
        sector[flag] |= dirt
        device.write_bytes(bytes(sector))
        mounts.write_text(f"{device if mounted else '/dev/sda6'} /efi vfat rw 0 0\n")
        (box.fake / "log").write_text("")
        box.flag("fsck-fat", code)
        result = box.script("esp-check", env={"AUDYN_ESP_DEVICE": str(device)})
        check(f"esp-check never fails (FAT{kind}, {dirt}, {code})", result.returncode == 0, result.stderr)
        return f"fsck.fat -a {device}" in box.log()

    check("esp: a clean one is left alone", not checked(32, 0) and not checked(16, 0))
    check("esp: one that was not put away is checked", checked(32, 1) and checked(16, 1) and checked(32, 3))
    check("esp: and one that is no FAT", checked(0, 0, code="8"))
    check("esp: never one that is mounted", not checked(32, 1, mounted=True))
    device.unlink()
    check("esp: nor one that isn't there", box.script("esp-check", env={"AUDYN_ESP_DEVICE": str(device)}).returncode == 0)


def health(make, check):
    def fails(name, words, prepare, good=False, expect_reboot=True):
        box = two_versions(make)
        slot, version = ("B", "2") if good else ("A", "3")
        if not good:
            install(box, "A")
        box.boot(slot, version)
        prepare(box)
        box.health()
        report = box.report()
        check(f"health, {name}: failed", report["health"] == "failed", json.dumps(report))
        if expect_reboot:
            check(f"health, {name}: the reason is kept and the box restarts", words in (box.boot_file(f"{slot}.why") or "") and box.rebooted(), box.boot_file(f"{slot}.why"))
            check(f"health, {name}: not marked good", box.boot_file(f"good.{slot}") is None)
        else:
            check(f"health, {name}: an alarm, no restart", words in box.alarms() and not box.rebooted(), box.alarms())
        return box

    selftest = lambda box: box.flag("selftest", "the flow did not arrive")  # noqa: E731
    fails("self-test", "self-test failed: the flow did not arrive", selftest)
    fails("self-test of a good version", "self-test failed: the flow did not arrive", selftest, good=True, expect_reboot=False)
    fails("web", "the web server does not answer", lambda box: box.flag("no-web"))
    fails("a unit that died", "audyn-webd.service did not stay up", lambda box: box.flag("down.audyn-webd.service"))
    fails("a unit that was restarted", "restarted within", lambda box: box.flag(
        "at-sleep", 'printf "NRestarts=1\\n" >"$FAKE/unit.audyn-engine.service"'))
    fails("a check that is killed", "ended (signal) while the engine's self-test was running", lambda box: box.flag("selftest-hangs"))

    box = two_versions(make)
    install(box, "A")
    box.boot("A", "3")
    box.flag("selftest", "no engine answers at /run/audyn/engine.sock")
    box.flag("at-sleep", 'test "$(grep -c "^audyn selftest" "$FAKE/log")" -lt 3 || rm -f "$FAKE/selftest"')
    check("an engine that somebody restarts during the trial condemns nothing: it is asked again", box.health().returncode == 0
          and box.report()["health"] == "good" and not box.rebooted(), json.dumps(box.report()))
    box = two_versions(make)
    install(box, "A")
    box.boot("A", "3")
    box.flag("selftest", "no engine answers at /run/audyn/engine.sock")
    box.health()
    check("but not for ever: twelve times, 5 s apart", box.log().count("audyn selftest") == 13 and box.log().count("sleep 5") == 12 and box.rebooted(), box.log())

    box = two_versions(make)
    install(box, "A")
    box.boot("A", "3")
    box.flag("system-state", "stopping\n")
    box.flag("selftest-hangs")
    box.health()
    check("a check that ends with a shutdown is no failure", box.boot_file("A.why") is None and box.report()["health"] == "pending")

    box = two_versions(make)
    install(box, "A")
    box.boot("A", "3")
    box.script("health", "deadline")
    check("no verdict in time is one", "never started" in box.boot_file("A.why") and box.rebooted(), box.boot_file("A.why"))
    box = two_versions(make)
    box.boot("B", "2")
    box.script("health", "deadline")
    check("on a good version it is an alarm", "no verdict in time" in box.alarms() and not box.rebooted())
    box.health()
    box.script("health", "deadline")
    check("and with a verdict it is nothing", box.report()["health"] == "good" and box.alarms() == "", box.alarms())

    box = make()
    box.boot("A", "1")
    box.flag("selftest")
    box.health()
    check("a first version that fails has nothing to go back to: it stays up, with an alarm", not box.rebooted() and "no other good version" in box.alarms())
    box.script("health", "after", env={"SERVICE_RESULT": "timeout"})
    check("a verdict is given once", box.boot_file("log").count("stage=failed") == 1)

    box = two_versions(make)
    box.flag("no-rauc")
    box.boot("B", "2")
    check("mark-good without RAUC writes the record itself", box.health().returncode == 0 and box.env()["B_TRY"] == "0")
    install(box, "A")
    box.boot("A", "3")
    box.flag("esp-full")
    check("a record that can't be written: not good, and said", box.health().returncode == 1 and "can't be written" in box.alarms(), box.alarms())


def good_by_hand(make, check):
    box = two_versions(make)
    install(box, "A")
    box.boot("A", "3")
    box.script("audyn-update", "mark-good")
    box.flag("selftest", "no sound card")
    box.script("health", "check")
    box.script("health", "after", env={"SERVICE_RESULT": "exit-code"})
    check("marked good by hand, then the check fails: an alarm, no restart", not box.rebooted() and "no sound card" in box.alarms(), box.alarms())


def damaged_notice(make, check):
    for name, text in (("zeroed", "\0" * 80), ("without a slot", "version=3\nat=2026-11-22T20:00:00Z\nreason=x\n"), ("without a time", "slot=A\nreason=x\n"),
                       ("with another time", "slot=A\nat=yesterday\nreason=x\n"), ("with a day that there isn't", "slot=A\nat=2026-02-30T20:00:00Z\nreason=x\n"),
                       ("with an hour that there isn't", "slot=A\nat=2026-02-20T25:00:00Z\nreason=x\n"), ("of another slot", "slot=C\nat=2026-11-22T20:00:00Z\nreason=x\n")):
        box = two_versions(make)
        (box.root / "disk/boot/fallback").write_text(text)
        box.boot("B", "2")
        check(f"a notice {name}: an alarm in its place, the rest of the report is whole", box.report()["fallback"] is None
              and "is damaged" in box.alarms() and box.report()["slot"] == "B", json.dumps(box.report()))


def failed_units(make, check):
    """What of ours has failed is said on the page, on the console and by audyn-update, until it is over."""
    box = two_versions(make)
    box.flag("failed-units", "audyn-firewall.service loaded failed failed Firewall\n")
    box.boot("B", "2")
    issue = (box.root / "run/issue.d/audyn.issue").read_text()
    status = box.script("audyn-update", "status").stdout
    check("a firewall that failed is an alarm", [alarm for alarm in box.report()["alarms"] if "firewall" in alarm and "not filtered" in alarm]
          and "ALARM: The firewall" in issue and "Alarm:     The firewall" in status and "Parts of this box" not in box.alarms(), box.alarms())
    box.flag("failed-units", "\u25cf audyn-ptp4l@eth0.service loaded failed failed PTP\naudyn-irq.service loaded failed failed IRQ\n"
             "audyn-health.service loaded failed failed Health\naudyn-mark-good.service loaded failed failed Good\n")
    box.script("boot-report", "compose")
    check("other units are named, the firewall's alarm is over", "(audyn-ptp4l@eth0.service, audyn-irq.service)" in box.alarms() and "firewall" not in box.alarms()
          and "audyn-health" not in box.alarms() and acceptable(box.report()), box.alarms())
    box.unflag("failed-units")
    box.script("boot-report", "compose")
    check("and over when nothing is failed any more", box.report()["alarms"] == [], box.alarms())


def what_was_chosen(make, check):
    box = two_versions(make)
    (box.root / "proc/sys/kernel/hostname").write_text("studio-3\n")
    for text, expected in (("disk=second\nwhy=remembered\nname=51 GB, Disk\n", {"disk": "second", "why": "remembered", "name": "51 GB, Disk"}),
                           ("disk=own\nwhy=only\nname=\n", {"disk": "own", "why": "only", "name": ""}),
                           ("disk=third\nwhy=only\n", None), ("disk=own\nwhy=\"}\n", None), ("", None)):
        (box.root / "run/audyn/boot/recordings").write_text(text)
        box.script("boot-report", "compose")
        check(f"where recordings go, {text.split()[:2]}", acceptable(box.report()) and box.report()["recordings"] == expected and box.report()["name"] == "studio-3",
              json.dumps(box.report()))


def first_boot(make, check):
    box = make()
    box.boot("A", "1")
    box.script("first-boot", "start")
    name = (box.root / "var/lib/audyn/system/hostname").read_text().strip()
    shown = (box.root / "proc/sys/kernel/hostname").read_text().strip()
    check("the host name is made of the identity", name == shown and name.startswith("audyn-") and len(name) == 12, name)
    check("and doesn't show it", name[6:] not in "0123456789abcdef0123456789abcdef")
    (box.root / "var/lib/audyn/system/hostname").write_text("studio-3\n")
    box.script("first-boot", "start")
    check("what a person chose stays", (box.root / "proc/sys/kernel/hostname").read_text() == "studio-3\n")
    other = make()
    other.boot("A", "1")
    (other.root / "etc/machine-id").write_text("f" * 32 + "\n")
    other.script("first-boot", "start")
    check("another box has another name", (other.root / "var/lib/audyn/system/hostname").read_text().strip() != name)
    check("no SSH keys until they are asked for", not list((box.root / "disk/ssh").iterdir()))
    box.script("first-boot", "ssh-keys")
    keys = {path.name: path.read_bytes() for path in (box.root / "disk/ssh").iterdir()}
    check("then the pair that sshd uses, nothing else", sorted(keys) == ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"], str(sorted(keys)))
    box.script("first-boot", "ssh-keys")
    check("and once", {path.name: path.read_bytes() for path in (box.root / "disk/ssh").iterdir()} == keys)
    (box.root / "disk/ssh/ssh_host_ed25519_key").write_bytes(b"")
    box.script("first-boot", "ssh-keys")
    again = {path.name: path.read_bytes() for path in (box.root / "disk/ssh").iterdir()}
    check("a pair that a power cut spoilt is made again", again["ssh_host_ed25519_key"] and len(again) == 2)


def run(make, check, _skip):
    ordinary(make, check)
    fallen_back(make, check)
    flickers(make, check)
    record(make, check)
    in_place(make, check)
    early(make, check)
    damaged_release(make, check)
    esp(make, check)
    health(make, check)
    good_by_hand(make, check)
    damaged_notice(make, check)
    first_boot(make, check)
    failed_units(make, check)
    what_was_chosen(make, check)
