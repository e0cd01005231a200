"""Runs one shell command in a lab machine through its agent: `agent.py SOCKET [--timeout S] [--wait S] COMMAND…`.

SOCKET is the host's end of the virtio port `audyn.lab`. Prints what the command printed and exits with its code; 124
when the machine didn't answer within --wait seconds. Owns one connection and nothing else.
"""

import argparse
import base64
import os
import socket
import sys
import time


def ask(path, command, limit, wait):
    """Sends the command until somebody answers it; returns (exit code, output) or None."""
    end = time.monotonic() + wait
    number = f"{os.getpid()}-{time.monotonic_ns()}"
    line = f"\n{number} {limit} {base64.b64encode(command.encode()).decode()}\n".encode()
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as agent:
            try:
                agent.connect(path)
                agent.sendall(line)
                agent.settimeout(max(0.1, min(end - time.monotonic(), limit + 60)))
                rest = b""
                while data := agent.recv(65536):
                    rest += data
                    while b"\n" in rest:
                        answer, rest = rest.split(b"\n", 1)
                        words = answer.decode(errors="replace").split(" ")
                        if words[0] == number:
                            return int(words[1]), base64.b64decode(words[2] if len(words) > 2 else "")
            except (FileNotFoundError, ConnectionError, socket.timeout):
                pass
        time.sleep(0.5)
    return None


def main():
    parser = argparse.ArgumentParser(description="run a shell command in a lab machine")
    parser.add_argument("socket")
    parser.add_argument("--timeout", type=int, default=60, help="seconds that the command may take")
    parser.add_argument("--wait", type=float, default=120, help="seconds that the machine may take to answer")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    answer = ask(options.socket, " ".join(options.command), options.timeout, options.wait)
    if answer is None:
        print("the lab's agent did not answer", file=sys.stderr)
        sys.exit(124)
    sys.stdout.buffer.write(answer[1])
    sys.exit(answer[0])


main()
