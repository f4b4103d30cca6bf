"""What lies in a book's folder and belongs to no part of the book as it is now: what `clean` may remove."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import part_files
from maya_batch.book.all_take_keys import absent_models, config_keys
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.state import BookState, hidden_folder
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read

#: Bytes of unclaimed.json at most: 200,000 takes.
_LARGEST = 16 * 2**20


@dataclass(frozen=True)
class Unclaimed:
    """What lay in a folder before it was known which book it belongs to, and is none of that book's: another book may
    have been rendered there. It stays until a person says whose it is.
    """

    keys: frozenset[str] = frozenset()
    """Of takes."""
    files: frozenset[str] = frozenset()
    """The names of chapter files."""


@dataclass(frozen=True)
class LeftOvers:
    """Files that no part of the book needs."""

    files: list[Path]
    """Chapter files, and what killed runs left of them."""
    takes: list[Path]
    """Files of takes."""
    withheld: int
    """How many more there are that may be another book's."""
    absent: list[str]
    """Models that are not on this machine: as long as there are some, no takes are listed."""


def left_over(
    state: BookState,
    others: Sequence[BookState] | None = None,
    forget: Collection[tuple[str, ModelConfig]] = (),
) -> LeftOvers:
    """What no part of the book needs. Takes of each model config that the book was ever rendered with are needed, but
    for those of `forget`.

    `others` are the other books of a folder that several were rendered into, as a person named them, and what they need
    stays; without them all stays that may be another book's.
    """
    keys = {key for config, known in config_keys(state).items() if config not in forget for key in known}
    absent = absent_models(state) if state.lock.begun else []
    takes = list(state.store.unused(keys)) if state.lock.begun and not absent else []
    files = state.stale_files()
    if others is None:
        doubtful = _unclaimed(state, takes, files)
    else:
        needed = {key for other in others for known in config_keys(other).values() for key in known}
        names = {target.path.name for other in others for part in other.plan.chapters for target in other.targets(part)}
        doubtful = Unclaimed(frozenset(needed), frozenset(names))
    sure_takes = [path for path in takes if path.parent.name not in doubtful.keys]
    sure_files = [path for path in files if path.name not in doubtful.files]
    withheld = 0 if others is not None else len(takes) - len(sure_takes) + len(files) - len(sure_files)
    return LeftOvers([*sure_files, *part_files(state.folder)], sure_takes, withheld, absent)


def read_unclaimed(hidden: Path) -> Unclaimed:
    """What the folder `.maya` knows to be unclaimed.

    Raises:
        MachineError: its unclaimed.json is none.
    """
    path = hidden / "unclaimed.json"
    try:
        data = json.loads(safe_read(path, _LARGEST))
        keys, files = frozenset(data["takes"]), frozenset(data["files"])
        if not all(isinstance(name, str) for name in keys | files):
            raise ValueError("a name is no text")
    except FileNotFoundError:
        return Unclaimed()
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise MachineError(f"{path}: not a list of takes and files; put a copy back") from error
    return Unclaimed(keys, files)


def keep_unclaimed(state: BookState, but_own: bool) -> None:
    """Remember what is in the folder now; `but_own`, only what is none of the book's.

    Raises:
        MachineError: the disk does not take the file.
    """
    hidden = hidden_folder(state.folder)
    known = read_unclaimed(hidden)
    own = {key for keys in config_keys(state).values() for key in keys} if but_own else set()
    keys = (known.keys | state.store.keys()) - own
    files = known.files | {path.name for path in state.stale_files()}
    if (keys, files) != (known.keys, known.files):
        write_atomic(
            hidden / "unclaimed.json", json.dumps({"takes": sorted(keys), "files": sorted(files)}, indent=0).encode()
        )


def _unclaimed(state: BookState, takes: Sequence[Path], files: Sequence[Path]) -> Unclaimed:
    if state.book_id is None:  # version 0.1 let several books share a folder
        return Unclaimed(frozenset(path.parent.name for path in takes), frozenset(path.name for path in files))
    return read_unclaimed(hidden_folder(state.folder))
