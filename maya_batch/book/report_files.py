"""The reports of this program in an output folder: their names, and how they are recognized."""

import os
import re
from pathlib import Path

from maya_batch.files.safe_open import safe_open

GENERATOR = "maya-batch"
"""The generator that reports name; a file without it is not overwritten."""

JSON_NAME, PAGE_NAME, LISTEN_NAME = "report.json", "report.html", "listen.html"

#: The mark near the start of each report.
_HTML_MARK = f'<meta name="generator" content="{GENERATOR}">'
_MARKS = {JSON_NAME: f'"generator": "{GENERATOR}"', PAGE_NAME: _HTML_MARK, LISTEN_NAME: _HTML_MARK}
_HEAD = 4096

#: The fingerprint near the start of the page.
_FINGERPRINT = re.compile(rb'<meta name="maya-batch-fingerprint" content="([0-9a-f]+)">')


def report_fingerprint(folder: Path) -> str | None:
    """The fingerprint of the report in a folder; None if it has none, or is incomplete."""
    if not is_report(folder / JSON_NAME) or not is_report(folder / LISTEN_NAME):
        return None
    found = _FINGERPRINT.search(_head(folder / PAGE_NAME))  # the page is written last
    return found[1].decode() if found else None


def is_report(path: Path) -> bool:
    """Whether a file of one of the three names is a report of this program, by its mark; reports of 0.1 have none."""
    return _MARKS[path.name].encode() in _head(path)


def _head(path: Path) -> bytes:
    try:
        with os.fdopen(safe_open(path, os.O_RDONLY), "rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
