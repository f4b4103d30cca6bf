"""The two files of a report, each there whole or as it was before."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from maya_batch.own_files import open_own
from maya_batch.report.clip import Clip
from maya_batch.report.data import GENERATOR, Report, to_json
from maya_batch.report.page import render_page
from maya_batch.whole_file import write_whole

JSON_NAME, PAGE_NAME = "report.json", "report.html"

#: How each of them says near its beginning that it was written here.
_MARKS = {JSON_NAME: f'"generator": "{GENERATOR}"', PAGE_NAME: f'<meta name="generator" content="{GENERATOR}">'}
_HEAD = 4096

#: How the page says near its beginning what it was made of.
_FINGERPRINT = re.compile(rb'<meta name="maya-batch-fingerprint" content="([0-9a-f]+)">')


def write_report(folder: Path, report: Report, clips: Mapping[str, Clip], fingerprint: str = "") -> Path:
    """Write report.json and report.html into `folder`, which is there, and give back the path of the page.

    `fingerprint` stands for all that they tell of the book, empty where nothing does. `clips` are the sounds of takes
    in use by their chunk's `ref`, at least those of the first `MOST_TAKES` of `worst_takes(report.chunks)`.

    Raises:
        MachineError: a file cannot be written; what was there is as it was.
        ValueError: a number of the report is not finite, or a time is not ISO 8601.
    """
    contents = {folder / JSON_NAME: to_json(report), folder / PAGE_NAME: render_page(report, clips, fingerprint)}
    for path, text in contents.items():
        # A path may hold bytes that are no UTF-8: their escapes are those of JSON, too.
        write_whole(path, text.encode(errors="backslashreplace"))
    return folder / PAGE_NAME


def told(folder: Path) -> str | None:
    """The fingerprint of the report in a folder; None where it has none, or is not whole."""
    if not is_report(folder / JSON_NAME):
        return None
    found = _FINGERPRINT.search(_head(folder / PAGE_NAME))  # the page is written last
    return found[1].decode() if found else None


def is_report(path: Path) -> bool:
    """Whether a file of one of the two names is a report of this program's, by its mark; those of 0.1 have none."""
    return _MARKS[path.name].encode() in _head(path)


def _head(path: Path) -> bytes:
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
