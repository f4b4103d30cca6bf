"""The two files of a report, each there whole or as it was before."""

from collections.abc import Mapping
from pathlib import Path

from maya_batch.book.report_files import JSON_NAME, PAGE_NAME
from maya_batch.files.atomic_write import write_atomic
from maya_batch.report.audio_clip import Clip
from maya_batch.report.model import Report, to_json
from maya_batch.report.page import render_page


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
        write_atomic(path, text.encode(errors="backslashreplace"))
    return folder / PAGE_NAME
