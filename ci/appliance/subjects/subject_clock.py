"""A hardware clock (Linux's mock) under the recording: it vanishes, returns, and is set by two seconds both ways; no frame moves.

    first   the system clock ──phc2sys──► mock clock        chronyd leads the system clock, by ptp4l and a grandmaster
    then    the mock clock ──phc2sys──► system clock        chronyd measures and sets nothing: a set clock sets the machine's

The mock is a module that the test brings; the image has none of it. The grandmaster is a program of the test on the audio network,
ptp4l, chronyd and their units are the box's own, so the clock's quality is as in a studio. Two flows record all the time: one whose
timestamps are the media clock, and one whose timestamps tell nothing, so that it was placed by its arrival. Their senders run in the box
and keep their own pace (CLOCK_MONOTONIC), which no step touches. The machine is emulated: order and counts are judged, never how long or how near."""

import base64
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import tools
from box import ENGINE_STATE, RATE, Flow, Recording, problems_of, recorders_of
from grandmaster import TAI_OFFSET
from report import Failed
from vm import PATIENCE

GRANDMASTER = tools.ROOT / "ci/lib/grandmaster.py"
CHRONY = "chronyc -h /run/audyn-chrony/chronyd.sock"
SECOND = 1_000_000_000
# An emulated card on a busy host stamps late by tens of milliseconds. Here two seconds are told from nothing.
NEAR = SECOND // 2


def run(t):
    box = t.box("box", image=t.images.disk("1.0.0"))
    box.up_and_well()
    with Clock(t, box) as clock:
        clock.bring()
        media, arrival = Flow(5), Flow(6)
        record(t, box, clock, media, arrival)
        held(t, box, clock, [media, arrival])
        leading(t, box, clock, [media, arrival])
        files(t, box, media, arrival)


class Clock:
    """The mock clock, who follows whom, and what the engine says of it."""

    def __init__(self, t, box):
        self.t, self.box, self.grandmaster = t, box, None
        self.stood = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.grandmaster:
            self.grandmaster.kill()
            self.grandmaster.wait()
        self.box.why_unwell()

    def bring(self):
        """The module for the kernel that runs there, and a grandmaster."""
        kernel, began = self.box.sh("uname -r").text.strip(), time.monotonic()
        made = subprocess.run(["ci/appliance/lib/mock-phc", kernel], cwd=tools.ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        if made.returncode != 0:
            raise Failed(f"mock-phc {kernel}: {(made.stdout + made.stderr).strip()[-600:]}")
        module = Path(made.stdout.strip().splitlines()[-1])
        self.t.note(f"{module.name} ({module.stat().st_size} bytes) made, or found in the cache, in {time.monotonic() - began:.0f} s")
        text = base64.b64encode(module.read_bytes()).decode()
        self.box.sh(f"printf %s {text} | base64 -d >/run/ptp_mock.ko && modprobe ptp")
        self.device = self.load()

        def prepare():
            self.box.lan.enter()
            tools.die_with_parent()
        name, _, ours = self.box.tap
        with open(self.box.place / "grandmaster.log", "wb") as out:
            self.grandmaster = subprocess.Popen([sys.executable, GRANDMASTER, name, ours, "1", "0", "valid"],
                                                stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=prepare)

    def load(self):
        """The clock is there; its device."""
        self.box.sh("ls /sys/class/ptp >/run/ptp.before; insmod /run/ptp_mock.ko")
        self.box.wait_for("ls /sys/class/ptp | grep -vxF -f /run/ptp.before >/run/ptp.new", "the mock clock")
        device = f"/dev/{self.box.sh('cat /run/ptp.new').text.strip()}"
        self.box.wait_for(f'[ "$(stat -c %G {device})" = audyn ]', "its device, as udev gives it to the engine")
        return device

    def unload(self):
        """The clock vanishes while it is read."""
        self.box.sh("rmmod audyn_mock_phc")

    def hold(self):
        """phc2sys keeps the mock at the system clock's time, as TAI."""
        self.lead("clock-hold", f"phc2sys -q -m -c {self.device} -s CLOCK_REALTIME -O {TAI_OFFSET} -S 0.1")

    def lead(self, unit, command):
        self.box.sh(f"systemd-run --quiet --collect --unit={unit} -p Restart=always -p RestartSec=1 -p StartLimitIntervalSec=0 {command}")

    def release(self, unit="clock-hold"):
        self.box.sh(f"systemctl stop {unit}")

    def step(self, seconds):
        """The mock is set, by a hand that is not phc2sys's."""
        self.box.sh(f"phc_ctl -- {self.device} adj {seconds}")

    def until(self, what, condition, seconds=180 * PATIENCE):
        """The clock as the engine tells it, as soon as it is so; a check line."""
        deadline, pause, seen = time.monotonic() + seconds, threading.Event(), None
        while time.monotonic() < deadline:
            status = status_of(self.box)
            seen = status["clock"] if status else seen
            if status and condition(seen):
                return self.t.check(what, True, told(seen, self.device))
            stands = seen and (seen["quality"], {alarm["kind"] for alarm in seen["alarms"] if alarm["ended"] is None})
            if stands and stands != self.stood:
                self.stood = stands
                self.t.note(f"on the way: {told(seen, self.device)}")
            pause.wait(0.3)
        self.t.check(what, False, f"not within {seconds:.0f} s: {told(seen, self.device)}")
        raise Failed(f"it waited in vain until: {what}; the engine says: {json.dumps(seen)}")

    def offset(self, seen):
        """The mock − the system clock, less what TAI is from UTC; None if it is not read."""
        for ptp in seen["ptp"]:
            if ptp["device"] == self.device and ptp["device_offset_nanos"] is not None:
                return ptp["device_offset_nanos"] - TAI_OFFSET * SECOND
        return None

    def at(self, seen, seconds):
        offset = self.offset(seen)
        return offset is not None and abs(offset - seconds * SECOND) < NEAR

    def alarm(self, seen, kind):
        """The text of the standing alarm of this kind."""
        return next((alarm["text"] for alarm in seen["alarms"] if alarm["kind"] == kind and alarm["ended"] is None), None)

    def stepped(self, seen, sign):
        """It is told that the mock was set by two seconds, more or less."""
        return f"set by {sign}2." in (self.alarm(seen, "phc-stepped") or "") or \
            f"set by {sign}1.9" in (self.alarm(seen, "phc-stepped") or "")


def status_of(box):
    """All that the engine says; None if it did not answer."""
    try:
        return json.loads(box.sh("audyn --json status", 60, check=False).text)
    except ValueError:
        return None


def told(seen, device):
    """The clock in a line."""
    if not seen:
        return "no answer"
    standing = [f"{alarm['kind']}: {alarm['text']}" for alarm in seen["alarms"] if alarm["ended"] is None]
    read = [f"{ptp['device']} by {ptp['device_method']} at {ptp['device_offset_nanos']} ns" for ptp in seen["ptp"] if ptp["device"] == device]
    return f"{seen['quality']}, system clock {seen['system_offset_nanos']} ns from the grandmaster's; {'; '.join(read)}; {'; '.join(standing) or 'no alarm'}"


def record(t, box, clock, media, arrival):
    """The clock is locked and the mock held before the flows begin, so they are placed by the best that there is."""
    clock.hold()
    settings = {**json.loads(box.sh(f"cat {ENGINE_STATE}/global.json").text), "clock": {"device": clock.device, "domain": 0, "max_offset_micros": NEAR // 1000}}
    text = base64.b64encode(json.dumps(settings, indent=2).encode()).decode()
    box.sh(f"echo {text} | base64 -d >/run/global.json && cat /run/global.json >{ENGINE_STATE}/global.json")
    box.interface = "lo"
    box.configure([media, arrival])
    clock.until("locked to the grandmaster, by the box's ptp4l and chronyd", lambda seen: seen["quality"] == "ptp-locked" and
                seen["tai_offset"] == TAI_OFFSET, 420 * PATIENCE)
    clock.until("the mock clock is read, and phc2sys holds it at TAI", lambda seen: clock.at(seen, 0))
    for flow, how in ((media, f"--media-clock --tai-offset {TAI_OFFSET}"), (arrival, "--first-timestamp 305419896")):
        box.sh(f"systemd-run --quiet --unit=sender-{flow.stream} audyn send --index --stream-id {flow.stream} -m {flow.group} -p {flow.port} "
               f"--interface lo --ptime 4 {how}")
    box.wait_recording([media, arrival], frames=3 * RATE)
    placed = {flow["source"]: flow["timing"]["placement"] for flow in status_of(box)["flows"]}
    t.equal("one flow is placed by its media clock, one by its arrival", [placed.get(flow.name) for flow in (media, arrival)],
            ["media-clock", "arrival"])


def goes_on(t, box, flows, what):
    """Both recorders write seconds more of what comes, be it in another file."""
    before, more, deadline = None, dict.fromkeys((flow.name for flow in flows), 0), time.monotonic() + 240 * PATIENCE
    while min(more.values()) < 2 * RATE and time.monotonic() < deadline:
        status = status_of(box)
        now = {r["id"]: r["frames_written"] for r in recorders_of(status or {}) if r["state"] == "recording"}
        for name in more:
            if before and name in now and name in before:
                more[name] += now[name] - before[name] if now[name] >= before[name] else now[name]
        before = now or before
    t.check(f"the recording goes on {what}", min(more.values()) >= 2 * RATE, "" if min(more.values()) >= 2 * RATE else f"{more} frames more; {before}")


def held(t, box, clock, flows):
    """phc2sys holds the mock; nothing follows it."""
    clock.unload()
    clock.until("gone: the alarm says so, and the clock stays locked", lambda seen: clock.alarm(seen, "phc-gone") and
                seen["quality"] == "ptp-locked")
    goes_on(t, box, flows, "without the hardware clock")
    # As the box's unit would: phc2sys may hold on to the clock that has gone, and with it to its name.
    clock.release()
    t.equal("it returns by its old name", clock.load(), clock.device)
    clock.hold()
    clock.until("back: the alarm ends, and phc2sys holds it again", lambda seen: not clock.alarm(seen, "phc-gone") and clock.at(seen, 0))
    for seconds, sign, other in ((2, "+", "-"), (-2, "-", "+")):
        clock.release()
        clock.step(seconds)
        clock.until(f"set by {seconds:+} s: the alarm says by how much, and the clock stays locked",
                    lambda seen, sign=sign, seconds=seconds: clock.stepped(seen, sign) and clock.at(seen, seconds) and seen["quality"] == "ptp-locked")
        clock.hold()
        clock.until(f"phc2sys sets it back: by {-seconds:+} s", lambda seen, other=other: clock.stepped(seen, other) and clock.at(seen, 0))
        goes_on(t, box, flows, f"after {seconds:+} s and back")
    clock.release()


def leading(t, box, clock, flows):
    """The mock leads the system clock: its steps are the machine's."""
    # What chronyd may believe is the gate's business; without it chronyd believes nobody, and leaves the clock alone.
    box.sh(f"systemctl stop audyn-time-gate; for n in 0 1 2 3; do {CHRONY} selectopts PTP$n +noselect; done")
    clock.lead("clock-lead", f"phc2sys -q -m -c CLOCK_REALTIME -s {clock.device} -O -{TAI_OFFSET} -S 0.1")
    clock.until("the mock clock leads the system clock, and it stays locked", lambda seen: seen["quality"] == "ptp-locked" and clock.at(seen, 0))
    for seconds in (2, -2):
        clock.step(seconds)
        if seconds > 0:
            clock.until("set by +2 s, and the machine with it: free-running, and why", lambda seen: clock.stepped(seen, "+") and
                        seen["quality"] == "ptp-free-running" and "ahead of" in (clock.alarm(seen, "offset-large") or ""))
        else:
            clock.until("set by -2 s: locked again, and the alarm is over", lambda seen: clock.stepped(seen, "-") and
                        seen["quality"] == "ptp-locked" and not clock.alarm(seen, "offset-large"))
        goes_on(t, box, flows, f"after the machine's clock went by {seconds:+} s")
    clock.unload()
    clock.until("gone while it leads: the alarm says so, the machine's own clock goes on", lambda seen: clock.alarm(seen, "phc-gone") and
                seen["quality"] in ("ptp-locked", "ptp-free-running"))
    goes_on(t, box, flows, "after its leader went")


def files(t, box, media, arrival):
    box.tunnel()
    for flow in (media, arrival):
        box.get_json(f"/api/recorders/{flow.name}/stop", "POST")
    for flow in (media, arrival):
        judge(t, box, flow, by_media_clock=flow is media)


def judge(t, box, flow, by_media_clock):
    """Every sample of a flow is there, in one row; and what the ledgers say of its places."""
    recordings = sorted(recordings_of(box, flow), key=lambda r: lines_of(r)[0]["first_position"])
    bad = problems_of(recordings)
    t.check(f"{flow.name}: every recording is whole", recordings and not bad, "; ".join(bad) or ", ".join(
        f"{r.path.name} {r.frames / RATE:.1f} s ({r.lost} frames lost)" for r in recordings))
    ledgers = [lines_of(r) for r in recordings]
    heads = [(lines[0]["placed_by"], lines[0]["clock"]) for lines in ledgers]
    anew = [line["detail"] for lines in ledgers for line in lines if line.get("event") == "placed-anew"]
    if by_media_clock:
        holes = [first.gap_to(later) for first, later in zip(recordings, recordings[1:])]
        apart = [(later[0]["first_position"] - first[0]["first_position"]) - recording.frames
                 for recording, first, later in zip(recordings, ledgers, ledgers[1:])]
        t.check(f"{flow.name}: it was placed by its media clock, under PTP", {by for by, _ in heads} == {"media-clock"} and
                all(quality.startswith("ptp-") for _, quality in heads), f"{heads}")
        t.check(f"{flow.name}: never placed anew, and no frame moved", not anew and not any(holes) and not any(apart),
                "; ".join(anew) or f"between the files {holes}, in positions {apart}")
        said = [line["detail"] for lines in ledgers for line in lines if line.get("event") == "clock-stepped"]
        t.check(f"{flow.name}: its ledger says that the machine's clock stepped, and that it went on by its own", steps_in(said) == [-2, 2] and
                all("media clock" in text for text in said), "; ".join(said))
        known = [line["detail"] for lines in ledgers for line in lines if line.get("event") == "clock-quality"]
        t.check(f"{flow.name}: and when the clock was locked, and when not", any("is free-running" in text for text in known) and
                any("is locked" in text for text in known), "; ".join(known))
        return
    t.check(f"{flow.name}: placed by arrival, so the machine's two steps end a file each, and say by how much", steps_in(anew) == [-2, 2],
            "; ".join(anew))


def steps_in(texts):
    """The steps that these sentences tell, in whole seconds, the least first."""
    return sorted(round(float(found)) for text in texts for found in re.findall(r"stepped by ([-+][0-9.]+) s", text))


def recordings_of(box, flow):
    paths = [path for path, entry in box.files().items() if entry["format"] == "wav" and path.startswith(f"{flow.name}/")]
    return [Recording(box.fetch(path, box.place / "fetched" / path), flow.stream) for path in sorted(paths)]


def lines_of(recording):
    return [json.loads(line) for line in recording.path.with_suffix(".wav.gaps.jsonl").read_text().splitlines()]
