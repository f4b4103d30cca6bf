"""The files of a report, written atomically."""

from collections.abc import Mapping
from pathlib import Path

from maya_batch.book.report_files import JSON_NAME, LISTEN_NAME, PAGE_NAME, is_report
from maya_batch.files.atomic_write import write_atomic
from maya_batch.report.audio_clip import AudioClip
from maya_batch.report.listen_page import ListenBook, render_listen_page
from maya_batch.report.model import Report, to_json
from maya_batch.report.page import render_page


def write_report(
    folder: Path,
    report: Report,
    clips: Mapping[str, AudioClip],
    fingerprint: str = "",
    listening: ListenBook | None = None,
) -> Path:
    """Write report.json and report.html, and listen.html if `listening` is given, into the existing `folder`.

    Returns the path of report.html, which is written last.

    `fingerprint` is a digest of their contents about the book, or empty. `clips` are the sounds of takes in use, by
    their chunk's `ref`: at least those of the first `MOST_TAKES` of `worst_takes(report.chunks)`.

    Raises:
        MachineError: a file cannot be written; the old one is unchanged.
        ValueError: a number of the report is not finite, or a time is not ISO 8601.
    """
    listen, contents = folder / LISTEN_NAME, {folder / JSON_NAME: to_json(report)}
    if listening is not None:
        contents[listen] = render_listen_page(listening, report)
    contents[folder / PAGE_NAME] = render_page(report, clips, fingerprint, listen in contents or is_report(listen))
    for path, text in contents.items():
        # Paths can contain bytes that are not UTF-8; these escapes are also valid in JSON.
        write_atomic(path, text.encode(errors="backslashreplace"))
    return folder / PAGE_NAME
