"""The two files of a report, each there whole or as it was before."""

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from maya_batch.audio.export import part_of
from maya_batch.errors import MachineError
from maya_batch.report.clip import Clip
from maya_batch.report.data import Report, to_json
from maya_batch.report.page import render_page

JSON_NAME, PAGE_NAME = "report.json", "report.html"


def write_report(folder: Path, report: Report, clips: Mapping[str, Clip]) -> Path:
    """Write report.json and report.html into `folder`, which is there, and give back the path of the page.

    `clips` are the sounds of takes in use by their chunk's `ref`, at least those of the first `MOST_TAKES` of
    `worst_takes(report.chunks)`.

    Raises:
        MachineError: a file cannot be written; what was there is as it was.
        ValueError: a number of the report is not finite, or a time is not ISO 8601.
    """
    contents = {folder / JSON_NAME: to_json(report), folder / PAGE_NAME: render_page(report, clips)}
    for path, text in contents.items():
        _write(path, text)
    return folder / PAGE_NAME


def _write(path: Path, text: str) -> None:
    part = part_of(path)
    try:
        part.unlink(missing_ok=True)  # of a killed run
        with part.open("xb") as file:
            # A path may hold bytes that are no UTF-8: their escapes are those of JSON, too.
            file.write(text.encode(errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full" if full else error.strerror or str(error)
        raise MachineError(f"{path}: cannot be written: {why}") from error
    with suppress(OSError):  # some network file systems cannot; the file is in place all the same
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
