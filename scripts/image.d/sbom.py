"""Writes the list of a lab image's parts: CycloneDX 1.5 in JSON, and the licences for reading.

Sources: the Debian packages that were taken apart (control fields and copyright files), the crates that our programs
are built of for the image's architecture (cargo metadata), and the page's packages (package-lock.json, but for those
that only build it). Says nothing about a package that isn't in the image, and makes the same list of the same input.
"""

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.parse
import uuid

PROGRAMS = ("audyn-cli", "audyn-daemon", "audyn-webd")


def debian(status, copyright_dir):
    with open(status, encoding="utf-8") as file:
        stanzas = file.read().split("\n\n")
    for stanza in stanzas:
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if "Package" not in fields:
            continue
        name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
        licences = debian_licences(os.path.join(copyright_dir, name))
        source = fields.get("Source", name).split(" ")[0]
        yield {
            "type": "operating-system" if name.startswith("linux-image-") else "library",
            "bom-ref": f"deb:{name}:{arch}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={arch}&upstream={quote(source)}&distro=debian-13",
            "licenses": licences,
            **({"externalReferences": [{"type": "website", "url": fields["Homepage"]}]} if "Homepage" in fields else {}),
        }


def debian_licences(path):
    """The short names that a machine-readable copyright file gives; of a free-form one, only that it exists."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        text = ""
    names = {name.strip() for name in re.findall(r"^License: *(\S.*)$", text, re.M)}
    if not text.startswith("Format:") or not names:
        names = set(re.findall(r"/usr/share/common-licenses/([A-Za-z0-9.+-]*[A-Za-z0-9+])", text)) or {"see the copyright file"}
    return [{"license": {"name": name}} for name in sorted(names)]


def crates(target):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        done = subprocess.run([c for c in command if c != "--offline"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"cargo metadata: {done.stderr.strip()}")
    data = json.loads(done.stdout)
    packages = {p["id"]: p for p in data["packages"]}
    nodes = {n["id"]: n for n in data["resolve"]["nodes"]}
    waiting = [p["id"] for p in data["packages"] if p["name"] in PROGRAMS]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        # Only what ends in the program: not what tests it (dev) or builds it (build).
        waiting += [d["pkg"] for d in nodes[one]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
    for package in sorted((packages[i] for i in seen), key=lambda p: (p["name"], p["version"])):
        name, version = package["name"], package["version"]
        yield {
            "type": "application" if name in PROGRAMS else "library",
            "bom-ref": f"cargo:{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:cargo/{quote(name)}@{quote(version)}",
            "licenses": expression(package["license"]),
            **({"externalReferences": [{"type": "vcs", "url": package["repository"]}]} if package["repository"] else {}),
        }


def npm(lock):
    with open(lock, encoding="utf-8") as file:
        data = json.load(file)
    for path, package in sorted(data["packages"].items()):
        if not path or package.get("dev") or package.get("devOptional") or package.get("link"):
            continue
        name = path.rpartition("node_modules/")[2]
        yield {
            "type": "library",
            "bom-ref": f"npm:{name}@{package['version']}",
            "name": name,
            "version": package["version"],
            "purl": f"pkg:npm/{quote(name, '/')}@{quote(package['version'])}",
            "licenses": expression(package.get("license")),
        }


def expression(text):
    """An SPDX expression; crates of old write a slash for OR."""
    return [{"expression": text.replace("/", " OR ")}] if text else [{"license": {"name": "not stated"}}]


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe)


def licence_text(component):
    return ", ".join(one.get("expression") or one["license"]["name"] for one in component["licenses"])


def check(bom):
    """What CycloneDX 1.5 demands of the fields that are used here."""
    assert bom["bomFormat"] == "CycloneDX" and bom["specVersion"] == "1.5" and re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bom["serialNumber"])
    references = [c["bom-ref"] for c in bom["components"]]
    assert len(references) == len(set(references)), "a part is listed twice"
    for component in bom["components"]:
        for field in ("type", "name", "version", "purl", "licenses"):
            assert component[field], f"{component['bom-ref']} has no {field}"
        assert len(component["licenses"]) == 1 or all("license" in one for one in component["licenses"])
    kinds = {c["bom-ref"].split(":")[0] for c in bom["components"]}
    assert kinds == {"deb", "cargo", "npm"}, f"only {sorted(kinds)} are listed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name in ("board", "version", "epoch", "dpkg", "copyright", "cargo-target", "npm", "out", "licences"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    components = [*debian(options.dpkg, options.copyright), *crates(options.cargo_target), *npm(options.npm)]
    components.sort(key=lambda c: c["bom-ref"])
    product = f"audyn-{options.board}"
    seed = hashlib.sha256(json.dumps([product, options.version, components], sort_keys=True).encode()).digest()
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=seed[:16], version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(int(options.epoch), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "firmware", "bom-ref": product, "name": product, "version": options.version},
        },
        "components": components,
    }
    check(bom)
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(bom, file, indent=1, ensure_ascii=False)
        file.write("\n")
    with open(options.licences, "w", encoding="utf-8") as file:
        file.write(f"{product} {options.version}: {len(components)} parts and their licences\n\n")
        for component in components:
            file.write(f"{component['bom-ref']}: {licence_text(component)}\n")


main()
