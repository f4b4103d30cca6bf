"""Writes the planned folder of an imported book, and can be killed at any moment.

A new folder appears whole or not at all. While files of an older one are written, its import.json has the digests of
what is new in them: after a kill, the next import knows these files as its own.
"""

import shutil
from collections.abc import Callable
from typing import BinaryIO

from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import sync_folder, write_atomic, write_errors, write_synced
from maya_batch.files.safe_open import make_folders, safe_folder
from maya_batch.importing import chapter_files
from maya_batch.importing.book_folder import BOOK, FolderPlan
from maya_batch.importing.chapter_files import digest
from maya_batch.importing.import_record import NAME as RECORD
from maya_batch.importing.import_record import Record


def write_folder(plan: FolderPlan) -> None:
    """Write what was planned.

    Raises:
        MachineError: it cannot be written.
    """
    if plan.record is None:
        _write_new(plan)
    else:
        _write_again(plan, plan.record)


def _write_new(plan: FolderPlan) -> None:
    """Write all files into a folder next to the final one, and rename it."""
    with write_errors(plan.folder):
        folder = plan.folder.resolve()
        make_folders(folder.parent)
        building = folder.with_name(f".import-{digest(folder.name.encode(errors='surrogateescape'))[:16]}.part")
        if building.is_dir() and not building.is_symlink():
            shutil.rmtree(building)  # left by a killed import
        building.mkdir()
        try:
            (building / chapter_files.FOLDER).mkdir()
            for path, content in plan.writes.items():
                with write_errors(plan.folder / path):
                    write_synced(building / path, _writer(content))
            sync_folder(building / chapter_files.FOLDER)
            sync_folder(building)
            building.rename(folder)
            sync_folder(folder.parent)
        except BaseException:  # a signal, too
            shutil.rmtree(building, ignore_errors=True)
            raise


def _write_again(plan: FolderPlan, record: Record) -> None:
    try:
        safe_folder(plan.folder, chapter_files.FOLDER)
    except OSError as error:
        raise MachineError(f"{error.filename}: {error.strerror}") from error
    begun = {path: digest(content) for path, content in plan.writes.items() if path != RECORD}
    if begun.get(BOOK) != plan.digests[BOOK]:
        begun.pop(BOOK, None)  # it has a person's edits, so it is theirs
    if begun:
        write_atomic(plan.folder / RECORD, record.with_unfinished(begun.values()))
    for path, content in plan.writes.items():
        write_atomic(plan.folder / path, content)


def _writer(content: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(content)
