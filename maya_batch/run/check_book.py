"""Checks the finished files of a book against a store's requirements, and adds the result to the report."""

from dataclasses import replace

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.file_sound import file_sound
from maya_batch.book.output_files import hidden_folder
from maya_batch.book.report_files import JSON_NAME, report_fingerprint
from maya_batch.book.run_lock import lock_book
from maya_batch.book.sample_file import sample_of
from maya_batch.book.state import BookState
from maya_batch.book.store_check import CheckRow, Delivery, check_store
from maya_batch.book.store_rules import STORES, StoreName
from maya_batch.files.safe_open import safe_read
from maya_batch.interrupt import Stop
from maya_batch.manifest.picture_size import picture_size
from maya_batch.report.files import write_report
from maya_batch.report.model import StoreCheck, from_json
from maya_batch.run.reporting import report_clips

#: The largest report.json, in bytes, that is read.
_LARGEST = 512 * 2**20


def check_book(state: BookState, store: StoreName, stop: Stop) -> StoreCheck:
    """Measure the files that the store may take, and compare them.

    Where the book has files of several formats, those of the first one that the store takes are checked.

    Raises:
        MachineError: a file cannot be read, or the report cannot be written.
        BusyError: a run has locked the book.
    """
    wanted = STORES[store]
    formats = [format_.type for format_ in state.plan.book.output.audio]
    chosen = next((name for name in formats if name in wanted.formats), formats[0])
    files = {}
    for chapter in state.plan.chapters:
        stop.check()
        [path] = [target.path for target in state.output.targets(chapter) if target.type == chosen]
        files[path] = file_sound(path) if state.current(chapter) else None
    book, cover = state.plan.book, state.plan.manuscript.cover
    delivery = Delivery(
        files,
        cover=cover is not None,
        cover_size=None if cover is None else picture_size(cover.content),
        isbn=book.isbn or "",
        narrator=book.narrator or "",
        credits=book.credits is not None and None not in (book.credits.opening, book.credits.closing),
        sample=_sample_seconds(state),
    )
    rows: list[CheckRow] = check_store(delivery, wanted)
    check = StoreCheck(store, all(row.passed for row in rows), wanted.note, tuple(rows))
    _report(state, check)
    return check


def _sample_seconds(state: BookState) -> float | None:
    """The length of the sample; None where it is missing or out of date."""
    sample = sample_of(state)
    if sample is None or read_comment(sample.target.path) != sample.tags.comment:
        return None
    return file_sound(sample.target.path).seconds


def _report(state: BookState, check: StoreCheck) -> None:
    """Add the check to the last report; one of another version, or none, stays as it is."""
    with lock_book(hidden_folder(state.folder)):
        try:
            report = from_json(safe_read(state.folder / JSON_NAME, _LARGEST).decode())
        except (OSError, ValueError):
            return
        fingerprint = report_fingerprint(state.folder) or ""
        write_report(state.folder, replace(report, check=check), report_clips(state, report), fingerprint)
