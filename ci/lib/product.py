"""Where our programs are, and how a check calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from procs import finish, wait_until
from verdict import die

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent.parent


def binary(name):
    """The newest build of one of our programs; AUDYN_BIN names another directory."""
    places = [Path(os.environ["AUDYN_BIN"])] if "AUDYN_BIN" in os.environ else [ROOT / "target/release", ROOT / "target/debug"]
    built = [place / name for place in places if (place / name).exists()]
    if not built:
        die(f"{name} is not built: run cargo build --release -p audyn-cli -p audyn-daemon -p audyn-webd")
    return max(built, key=lambda path: path.stat().st_mtime)


def record(output, group, port, *, seconds=None, rate=48000, channels=2, encoding="L24", pt=96, more=()):
    """`audyn record` into one file; it prints its summary as one JSON line at the end."""
    command = [binary("audyn"), "record", "-o", output, "-m", group, "-p", port, "--interface", "lo", "--pt", pt,
               "-r", rate, "-c", channels, "--encoding", encoding, "--json", *more]
    return command + ["--duration", seconds] if seconds else command


def send_index(group, port, *, stream, more=()):
    """`audyn send` with the index signal."""
    return [binary("audyn"), "send", "--index", "--stream-id", stream, "-m", group, "-p", port, "--interface", "lo", *more]


def summary(process):
    """The last JSON object that a program printed on stdout."""
    lines = process.out.read_text(errors="replace").strip().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        die(f"{process.name} printed no summary; stderr: {process.err.read_text(errors='replace').strip()[-500:]}")


def ledger(wav):
    """The gap ledger beside a recording: (header, [gap]), gaps with their position in the file as `in_file`.

    A gap that was still open has another line for the same position behind it, which holds; events (a new SSRC, say)
    and the closing line are no gaps.
    """
    path = Path(wav).with_suffix(".wav.gaps.jsonl")
    if not path.exists():
        die(f"{path} does not exist")
    header, *lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    gaps = {line["position"]: line for line in lines if "frames" in line}
    for gap in gaps.values():
        gap["in_file"] = gap["position"] - header["first_position"]
    return header, list(gaps.values())


def write_state(state, archive, flows, mirror=None, more=None):
    """The engine's configuration: a source and a recorder for each flow {id, group, port}, named after it; `source` and `recorder` of a
    flow hold what else these say, and `more` what other documents of the state directory do."""
    sources = [{"id": flow["id"], "name": flow["id"], "address": flow["group"], "port": flow["port"], "interface": "lo",
                **flow.get("source", {})} for flow in flows]
    recorders = [{"id": flow["id"], "name": flow["id"], "source_id": flow["id"], **flow.get("recorder", {})} for flow in flows]
    settings = {"archive_root": str(archive), "active_recorders": max(6, len(flows)), **({"mirror": str(mirror)} if mirror else {})}
    documents = {"global": settings, "sources": sources, "recorders": recorders, **(more or {})}
    for name, document in documents.items():
        path = state / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document, indent=2))


class Engine:
    """A running `audyn-engine` that records `flows`, each {id, group, port} a stereo L24 flow on lo, from its start."""

    def __init__(self, procs, work, flows, archive=None, state=None, mirror=None, more=None):
        self.state, self.archive, self.socket = state or work / "state", archive or work / "archive", work / "engine.sock"
        self.state.mkdir()
        self.archive.mkdir()
        write_state(self.state, self.archive, flows, mirror, more)
        subprocess.run(["sync", "-f", self.state], check=True)
        self.procs = procs
        self.start()

    def spawn(self):
        """Starts it, once more after it has ended, and waits for nothing."""
        self.process = self.procs.spawn("engine", [binary("audyn-engine"), "--state", self.state, "--socket", self.socket,
                                                   "--archive-root", self.archive])

    def start(self):
        """The same, and waits until it answers."""
        self.spawn()
        wait_until(self.status, "the engine to answer", alive=[self.process])

    def status(self):
        """The snapshot, or None while nobody answers."""
        done = subprocess.run([binary("audyn"), "status", "--socket", self.socket, "--json"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        # Its exit code is 1 when a recorder is unwell, too; then there is a snapshot all the same.
        return json.loads(done.stdout) if done.stdout else None

    def stop(self):
        """SIGTERM, as systemd stops it, and the exit code."""
        self.process.terminate()
        return finish(self.process, 20)
