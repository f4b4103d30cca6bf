"""Finds files in a book's folder that the book as it is now does not need; `clean` may remove them."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import part_files
from maya_batch.book.all_take_keys import absent_models, all_keys, config_keys
from maya_batch.book.book_files import book_path, stale_files
from maya_batch.book.epub_file import epub_path
from maya_batch.book.layout_files import earlier_folders, stale_companions
from maya_batch.book.library_layout import companions
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.output_files import hidden_folder
from maya_batch.book.sample_file import sample_path
from maya_batch.book.state import BookState
from maya_batch.book.subtitle_files import stale_subtitles, subtitle_paths
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read

#: The largest unclaimed.json, in bytes: 200,000 takes.
_LARGEST = 16 * 2**20


@dataclass(frozen=True)
class Unclaimed:
    """Takes and files that were in a folder before it belonged to this book, and may be another book's. They are kept
    until a person names the other books.
    """

    keys: frozenset[str] = frozenset()
    """The keys of takes."""
    files: frozenset[str] = frozenset()
    """The names of chapter files."""


@dataclass(frozen=True)
class LeftOvers:
    """Files that the book does not need."""

    files: list[Path]
    """Chapter files, subtitles, covers and metadata.opf, and unfinished ones of killed runs."""
    takes: list[Path]
    """Files of takes."""
    withheld: int
    """The number of further files, which may be another book's."""
    absent: list[str]
    """Models that are not on this machine, or have changed; if there are any, no takes are listed."""


def left_over(
    state: BookState,
    others: Sequence[BookState] | None = None,
    forget: Collection[tuple[str, ModelConfig]] = (),
) -> LeftOvers:
    """The files that the book does not need. It needs the takes of each model config that it was ever rendered with,
    except those of `forget`.

    `others` are the other books rendered into the folder, named by a person; the files that they need are not listed.
    With None, no file that may be another book's is listed.
    """
    keys = {key for config, known in config_keys(state).items() if config not in forget for key in known}
    absent = absent_models(state) if state.lock.begun else []
    takes = list(state.store.unused(keys)) if state.lock.begun and not absent else []
    files = _stale(state)
    if others is not None:
        needed = {key for other in others for key in all_keys(other)}
        names = {name for other in others for name in _names(other)}
        doubtful = Unclaimed(frozenset(needed), frozenset(names))
    elif state.book_id is None:  # version 0.1 let several books share a folder
        doubtful = Unclaimed(frozenset(path.parent.name for path in takes), frozenset(path.name for path in files))
    else:
        doubtful = read_unclaimed(hidden_folder(state.folder))
    sure_takes = [path for path in takes if path.parent.name not in doubtful.keys]
    sure_files = [path for path in files if path.name not in doubtful.files]
    withheld = 0 if others is not None else len(takes) - len(sure_takes) + len(files) - len(sure_files)
    folders = [*state.output.written_folders, *earlier_folders(state)]
    parts = [part for folder in folders for part in part_files(folder)]
    return LeftOvers([*sure_files, *parts], sure_takes, withheld, absent)


def read_unclaimed(hidden: Path) -> Unclaimed:
    """The content of unclaimed.json in the folder `.maya`; empty if there is no such file.

    Raises:
        MachineError: the file is not valid.
    """
    path = hidden / "unclaimed.json"
    try:
        data = json.loads(safe_read(path, _LARGEST))
        keys, files = frozenset(data["takes"]), frozenset(data["files"])
        if not all(isinstance(name, str) for name in keys | files):
            raise ValueError("a name is not text")
    except FileNotFoundError:
        return Unclaimed()
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise MachineError(f"{path}: not a list of takes and files; restore a copy of it") from error
    return Unclaimed(keys, files)


def keep_unclaimed(state: BookState, but_own: bool) -> None:
    """Record what is in the folder now as unclaimed; with `but_own`, except the book's own takes.

    Raises:
        MachineError: the file cannot be written.
    """
    hidden = hidden_folder(state.folder)
    known = read_unclaimed(hidden)
    keys = (known.keys | state.store.keys()) - (all_keys(state) if but_own else set())
    # An M4B counts only as stale once all chapters of this book are whole.
    audio = state.output.stale_files(earlier_folders(state))
    files = known.files | {path.name for path in (*audio, *_stale(state))}
    if (keys, files) != (known.keys, known.files):
        write_atomic(
            hidden / "unclaimed.json", json.dumps({"takes": sorted(keys), "files": sorted(files)}, indent=0).encode()
        )


def _stale(state: BookState) -> list[Path]:
    """The files that the book as it is now does not have, without unfinished ones."""
    return [*stale_files(state), *stale_subtitles(state), *stale_companions(state)]


def _names(state: BookState) -> set[str]:
    """The names of the files that a book has as it is now."""
    paths = [target.path for chapter in state.plan.chapters for target in state.output.targets(chapter)]
    paths += [*subtitle_paths(state), book_path(state), epub_path(state)]
    paths += [] if state.plan.book.sample is None else [sample_path(state)]
    return {path.name for path in paths} | companions(state.plan.manuscript).keys()
