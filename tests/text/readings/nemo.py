"""The pairs of NVIDIA's suites: what is written, and one way to say it."""

import re
from pathlib import Path

from maya_batch.text.readings import find_written

DATA = Path(__file__).parents[2] / "data" / "nemo"


def pairs() -> list[tuple[str, str, str]]:
    """The class, the written and the spoken form of each pair that books have."""
    left_out = {line.split("\t")[0] for line in (DATA / "left_out.tsv").read_text(encoding="utf-8").splitlines()[1:]}
    found = []
    for path in sorted(DATA.glob("*.txt")):
        side, _, kind = path.stem.partition("_")
        for line in path.read_text(encoding="utf-8").splitlines():
            first, tilde, second = line.partition("~")
            written, spoken = (first, second) if side == "written" else (second, first)
            if tilde and written not in left_out:
                found.append((kind, written, spoken))
    return found


def plain(text: str) -> list[str]:
    """The words of a text without case, punctuation and apostrophes; "kilo watt" is one word."""
    text = re.sub(r"\b(kilo|milli|mega|giga|peta|deci) ", r"\1", text)
    return re.sub(r"[^\w\s]", " ", re.sub(r"(?<=\w)['’](?=\w)", "", text.lower())).split()


def is_read_as(written: str, spoken: str) -> bool:
    """Whether a text is one way to say another, part by part; spaces inside compounds do not count."""
    parts: list[list[str]] = []
    at = 0
    for thing in find_written(written, "en"):
        parts += [[word] for word in plain(written[at : thing.start])]
        parts.append(["".join(plain(reading)) for reading in thing.readings])
        at = thing.end
    parts += [[word] for word in plain(written[at:])]
    goal = "".join(plain(spoken))
    ends = {0}
    for ways in parts:
        ends = {end + len(way) for end in ends for way in ways if goal.startswith(way, end)}
    return len(goal) in ends
