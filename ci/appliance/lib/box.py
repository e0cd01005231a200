"""The appliance in a machine, as the tests use it: its configuration, its page through a tunnel, its update command, its files."""

import base64
import http.client
import json
import re
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

import indexsig
import product
import tools
from report import Failed
from vm import BOOT, PATIENCE, Vm
from wav import Wav, judges

ENGINE_STATE = "/var/lib/audyn/engine"
RECORDINGS = "/srv/recordings"
RATE = 48000


class Flow:
    """A stereo L24 flow with the index signal, and the recorder of it."""

    def __init__(self, number):
        self.stream, self.name = number, f"studio-{number}"
        self.group, self.port = f"239.77.0.{number + 1}", 5004


class Sender:
    """`audyn send` in the network's namespace, into the machine's tap, until it is ended."""

    def __init__(self, vm, flow, place):
        self.truth, self.flow = Path(place) / f"{flow.name}.truth.json", flow
        command = [str(product.binary("audyn")), "send", "--index", "--stream-id", str(flow.stream), "-m", flow.group,
                   "-p", str(flow.port), "--interface", vm.tap[0], "--spp", "192", "--truth", str(self.truth)]
        self.truth.unlink(missing_ok=True)  # a sender of before: `audyn send` takes no other file's place
        self.errors = Path(place) / f"{flow.name}.send.err"

        def prepare():
            vm.lan.enter()
            tools.die_with_parent()
        with open(self.errors, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=prepare)

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Ctrl-C, and what it says that really left."""
        if self.alive():
            self.process.send_signal(2)
        self.process.wait(timeout=30)
        return json.loads(self.truth.read_text()) if self.truth.exists() else None

    def close(self):
        if self.alive():
            self.process.kill()
        self.process.wait()


class Box(Vm):
    """A machine with the appliance in it."""

    def __init__(self, *arguments, media=None, **options):
        super().__init__(*arguments, **options)
        self.media, self.senders, self._tunnel_of = media, [], None

    def _block_devices(self, place):
        devices = super()._block_devices(place)
        if self.media:
            devices += ["-drive", f"file={self.media},format=raw,if=none,id=media,readonly=on",
                        "-device", "virtio-blk-pci,drive=media,serial=bundles"]
        return devices

    def close(self):
        for sender in self.senders:
            sender.close()
        super().close()

    # Boot

    def up(self, seconds=BOOT):
        """Waits for a boot to answer and to be ready for a test; the seconds from power on to the first answer."""
        took = self.wait_up(seconds)
        self.prepare()
        return took

    def up_and_well(self):
        """Power on, until the health check has found the box well; the image's account of itself."""
        self.start()
        self.up()
        return self.wait_health()

    def prepare(self):
        """After each boot: until it has said what it runs, and its audio network has an address (the agent answers before)."""
        self.boot_id = self.sh("cat /proc/sys/kernel/random/boot_id").text.strip()
        self.wait_for("[ -s /run/audyn/image.json ]", "its report on the boot")
        if self.tap:
            self.interface = self.interface_of(self.mac)
            self.wait_for(f"ip -4 -o address show dev {self.interface} scope link | grep -q inet", "a link-local address on the audio network")
            self.address = self.sh(f"ip -4 -o address show dev {self.interface} scope link").text.split("inet ")[1].split("/")[0]

    def interface_of(self, mac):
        return self.sh(f'for d in /sys/class/net/*; do [ "$(cat $d/address)" != {mac} ] || echo "${{d##*/}}"; done').text.strip()

    def image(self):
        """/run/audyn/image.json: what the box says of the version that it runs."""
        return json.loads(self.sh("cat /run/audyn/image.json").text)

    def wait_health(self, wanted="good", seconds=420 * PATIENCE):
        """Until the health check has decided; the image's account of itself."""
        self.wait_for("""grep -q '"health": *"\\(good\\|failed\\)"' /run/audyn/image.json""", "a verdict of the health check", seconds)
        image = self.image()
        if image.get("health") != wanted:
            raise Failed(f"{self.name}: the health check says {image}; " + self.why_unwell())
        return image

    def why_unwell(self):
        """One line for the verdict; the whole journal of the boot is kept beside the console's."""
        answer = self.agent.ask("journalctl -b -o short-monotonic --no-pager", 120)
        if not answer:
            return "no answer"
        kept = self.place / f"journal-{self.boot_id[:8]}.log"
        kept.write_text(answer.text)
        of_interest = [line for line in answer.text.splitlines() if re.search(r"audyn-(engine|health)|systemd-coredump|oom", line)]
        return " | ".join(of_interest[-25:]) + f"; all of it in {kept.name}"

    def slot(self):
        found = re.search(r"rauc\.slot=(\S+)", self.sh("cat /proc/cmdline").text)
        return found.group(1) if found else None

    # Update

    def mount_media(self):
        self.sh("mkdir -p /run/bundles; mountpoint -q /run/bundles || mount -o ro /dev/disk/by-id/virtio-bundles /run/bundles")

    def install(self, file, *options, seconds=600 * PATIENCE):
        """`audyn-update install`; its answer, whatever it is."""
        self.mount_media()
        return self.sh(f"audyn-update install /run/bundles/{file} {' '.join(options)}", seconds, check=False)

    # Recording

    def configure(self, flows):
        """Sources and recorders for these flows, as an administrator's files, and an engine that has read them. Not before the box's
        health check has decided: an engine that is restarted under it is unwell."""
        sources = [{"id": f.name, "name": f.name, "address": f.group, "port": f.port, "interface": self.interface,
                    "packet_frames": 192} for f in flows]
        recorders = [{"id": f.name, "name": f.name, "source_id": f.name} for f in flows]
        script = "systemctl stop audyn-engine\n"
        for name, document in (("sources", sources), ("recorders", recorders)):
            text = base64.b64encode(json.dumps(document, indent=2).encode()).decode()
            script += (f"echo {text} | base64 -d >{ENGINE_STATE}/{name}.json && chown --reference={ENGINE_STATE} {ENGINE_STATE}/{name}.json"
                       f" && chmod 640 {ENGINE_STATE}/{name}.json || exit 1\n")
        # An administrator's editor would have seen to it that the disk has them.
        self.sh(script + "sync && systemctl start audyn-engine", 180 * PATIENCE)

    def send(self, flows):
        self.senders = [Sender(self, flow, self.place) for flow in flows]
        return self.senders

    def record(self, flows, frames=1):
        """Configures these flows, sends them, and waits until each one's recorder wrote so many frames; the recorders' states."""
        self.configure(flows)
        self.send(flows)
        return self.wait_recording(flows, frames)

    def wait_recording(self, flows, frames=1, seconds=240 * PATIENCE):
        """Until each flow's recorder writes a file with so many frames that came, by the box's own command."""
        names = [flow.name for flow in flows]
        deadline, pause = time.monotonic() + seconds, threading.Event()
        state = None
        while time.monotonic() < deadline:
            answer = self.sh("audyn --json status", 60, check=False)
            try:
                state = {r["id"]: r for r in recorders_of(json.loads(answer.text))}
                if all(state[n]["state"] == "recording" and state[n]["frames_written"] >= frames for n in names):
                    return state
            except (ValueError, KeyError, TypeError):
                state = answer.text[-300:]
            for sender in self.senders:
                if not sender.alive():
                    raise Failed(f"the sender of {sender.flow.name} ended: {sender.errors.read_text(errors='replace')[-300:]}")
            pause.wait(0.2)
        raise Failed(f"{self.name}: {names} do not all record {frames} frames within {seconds:.0f} s: {state}")

    def settings(self):
        """What must outlive updates: a digest of each configuration file."""
        return self.sh(f"cd {ENGINE_STATE} && sha256sum *.json").text.strip()

    # The page

    def tunnel(self):
        """Makes the page, which listens on the box's loopback only, reachable at 127.0.0.1:`page_port` of this machine, until the
        box's next boot."""
        if self._tunnel_of == self.boot_id:
            return
        self.sh("/usr/lib/audyn-lab/forward")
        self._tunnel_of = self.boot_id
        deadline, pause = time.monotonic() + 90 * PATIENCE, threading.Event()
        while True:
            try:
                if self.http("GET", "/")[0] == 200:
                    return
            except (OSError, http.client.HTTPException) as error:
                said = error
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: the page does not answer through the tunnel: {said}")
            pause.wait(0.3)

    def http(self, method, path, seconds=120 * PATIENCE):
        """(status, headers, body) of a request to the page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.page_port, timeout=seconds)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get_json(self, path, method="GET"):
        status, _, body = self.http(method, path)
        if status != 200:
            raise Failed(f"{method} {path}: {status}: {body[:300]!r}")
        return json.loads(body)

    def files(self):
        """All recordings as the page lists them: {path: entry}."""
        found = {}

        def browse(path):
            answer = self.get_json(f"/api/assets/browse?path={quote(path)}")
            for entry in answer["entries"]:
                if entry["type"] == "directory":
                    if entry["path"] != "lost+found":  # the file system's, and root's only
                        browse(entry["path"])
                else:
                    found[entry["path"]] = entry
        browse("")
        return found

    def recordings(self, flow):
        """All WAV files of the box, fetched through the page and judged as recordings of `flow`, in the order of time (a name is
        the hour, and a count behind it)."""
        paths = sorted(path for path, entry in self.files().items() if entry["format"] == "wav")
        return [Recording(self.fetch(path, self.place / "fetched" / path), flow.stream) for path in paths]

    def fetch(self, path, target):
        """Downloads a recording through the page, its ledger with it if the page has it (through the agent otherwise)."""
        target = Path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        status, _, body = self.http("GET", f"/api/assets/download/{quote(path)}")
        if status != 200:
            raise Failed(f"GET /api/assets/download/{path}: {status}: {body[:300]!r}")
        target.write_bytes(body)
        ledger = path + ".gaps.jsonl"
        text = self.sh(f"base64 '{RECORDINGS}/{ledger}'").text
        target.with_suffix(".wav.gaps.jsonl").write_bytes(base64.b64decode(text))
        return target


def problems_of(recordings):
    """What is wrong with recordings, a sentence each."""
    return [f"{r.path.name}: {'; '.join(r.problems)}" for r in recordings if r.problems]


def recorders_of(status):
    return status.get("recorders") or status.get("snapshot", {}).get("recorders", [])


class Recording:
    """A fetched file, judged: `problems` is empty if every sample is in its place or named in the ledger.

    `ahead` says how many frames its header may count that are not there: a second and what it is written by, for a file that
    was open when the power went and that the engine has not seen since. It is judged by what is there."""

    def __init__(self, path, stream, with_judges=True, ahead=0):
        self.path, self.problems, self.frames, self.position, self.lost = Path(path), [], 0, None, 0
        self.ahead = 0
        try:
            wav = Wav(path)
        except (ValueError, OSError, AttributeError) as error:
            self.problems.append(f"cannot be opened: {error}")
            return
        if wav.stored < wav.frames <= wav.stored + ahead:
            self.ahead, wav.frames, with_judges = wav.frames - wav.stored, wav.stored, False
        self.frames = wav.frames
        if wav.stored < wav.frames:
            self.problems.append(f"the header says {wav.frames} frames, {wav.stored} are there")
        if with_judges:
            lengths = judges(path)
            if set(lengths.values()) != {wav.frames}:
                self.problems.append(f"header {wav.frames}, {lengths}")
        gaps = self.ledger()
        self.lost = sum(frames for _, frames in gaps)
        if wav.frames < 2:
            return
        data = wav.data()
        # A file may begin with a gap: the first frames that came tell where it is.
        first = next((start + frames for start, frames in gaps if start <= 0), 0)
        if first + 1 >= wav.frames:
            return
        seen = indexsig.identify(wav, data, first)
        if not isinstance(seen, tuple) or seen[0] != stream:
            self.problems.append(f"carries {seen}, not stream {stream}")
            return
        self.position = (seen[1] - first) % (1 << wav.bits)
        wrong, at = indexsig.compare(wav, data, stream, self.position, gaps)
        if wrong:
            self.problems.append(f"{wrong} of {wav.frames} frames differ from what was sent, the first at {at}: "
                                 f"{data[at * wav.block:at * wav.block + 12].hex()}")

    def ledger(self):
        """[(first frame in the file, frames)]; a last line that was cut short by a crash does not count."""
        path = self.path.with_suffix(".wav.gaps.jsonl")
        if not path.exists():
            self.problems.append("has no ledger")
            return []
        *lines, _ = path.read_bytes().split(b"\n")
        try:
            header, *rest = [json.loads(line) for line in lines if line.strip(b"\0")]
        except ValueError as error:
            self.problems.append(f"its ledger cannot be read: {error}")
            return []
        gaps = {line["position"]: line["frames"] for line in rest if "frames" in line}
        return sorted((position - header["first_position"], frames) for position, frames in gaps.items())

    def hour(self):
        """The archive's hour that its name tells: files of one hour are told apart by a count behind it."""
        return self.path.stem.split("_")[0]

    def gap_to(self, later):
        """Frames of the sender's that lie between the end of this file and the begin of a later one (below 2^23, about 3 minutes)."""
        if self.position is None or later.position is None:
            return 0  # one of them has no frame that tells its place; what is wrong with it stands in its problems
        return (later.position - self.position - self.frames) % (1 << 24)
