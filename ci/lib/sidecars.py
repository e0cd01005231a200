"""What the sidecars of sealed recordings tell, and which frames one volume has that another lacks."""

import json


def sidecars(folder):
    """Each WAV's sidecar, by its path below the recorder's directory."""
    found = {}
    for path in folder.rglob("*.wav.json"):
        try:
            found[str(path.relative_to(folder)).removesuffix(".json")] = json.loads(path.read_text())
        except FileNotFoundError:
            pass  # removed meanwhile
    return found


def span(sidecar):
    return sidecar["start"]["position"], sidecar["end"]["position"]


def holes(sidecar):
    """What its disk did not take."""
    return [(gap["position"], gap["position"] + gap["frames"]) for gap in sidecar["gaps"] if gap["cause"] == "disk-stall"]


def left(spans, *without):
    """What is left of spans without others."""
    for first, end in (other for others in without for other in others):
        spans = [part for a, b in spans for part in ((a, min(b, max(a, first))), (max(a, min(b, end)), b)) if part[0] < part[1]] \
            if first < end else spans
    return spans


def lacked(folders, wanted=None):
    """The names in either of two volumes' folders of one recorder of which the other one lacks frames; of those `wanted`, if told."""
    now = [sidecars(folder) for folder in folders]
    return [name for here, there in ((0, 1), (1, 0)) for name, told in (wanted or now)[there].items()
            if left([span(told)], holes(told), [part for other in now[here].values() if other["format"] == told["format"]
                                                for part in left([span(other)], holes(other))])]
