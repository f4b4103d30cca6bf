"""Which book an output folder belongs to, and which files in it are this program's: no other file is overwritten."""

import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from maya_batch.audio.chapter_file import is_part
from maya_batch.book.all_take_keys import all_keys
from maya_batch.book.book_files import book_path, has_book_file
from maya_batch.book.book_id import AUDIO_RULES, BookId, new_id, path_from, write_book_id
from maya_batch.book.chapter_fingerprint import COMMENT_PREFIX
from maya_batch.book.epub_file import epub_path
from maya_batch.book.leftovers import keep_unclaimed, read_unclaimed
from maya_batch.book.output_files import hidden_folder, is_chapter
from maya_batch.book.report_files import JSON_NAME, LISTEN_NAME, PAGE_NAME, is_report
from maya_batch.book.sample_file import sample_path
from maya_batch.book.state import BookState
from maya_batch.book.subtitle_files import subtitle_paths, subtitle_record
from maya_batch.book.written_files import WrittenFiles
from maya_batch.errors import UsageError
from maya_batch.files.safe_open import safe_open, safe_read
from maya_batch.manifest.audio_formats import SUBTITLES
from maya_batch.messages.plural import plural
from maya_batch.text.rules import TEXT_RULES

log = logging.getLogger(__name__)

#: The comment of a chapter file, which identifies a damaged one, and the bytes at either end to search for it.
_COMMENT, _ENDS = re.compile(re.escape(COMMENT_PREFIX).encode() + rb"[0-9a-f]{32}"), 64 * 2**10

#: The manifest's path in a report of version 0.1, and the bytes at either end to search for it.
_BOOK, _HEAD = re.compile(rb'"book": ("(?:[^"\\]|\\.)*")'), 64 * 2**10

#: The largest report that is read, in bytes: far more than 50 clips take.
_LARGEST_REPORT = 2**30

#: The most files that one message names.
_NAMED = 5


def check_folder(state: BookState, adopt: bool = False) -> None:
    """Check that the book may be written into its folder.

    Raises:
        UsageError: the folder belongs to another book, and `adopt` is false; or a chapter or report would overwrite a
            file that is not this program's, or that is a source of the book.
        MachineError: a file of the folder `.maya` is not valid.
    """
    refuse_other_book(state, adopt)
    wrong = list(_foreign_files(state, adopt))
    if wrong:
        more = [f"and {plural(len(wrong) - _NAMED, 'more file')}"] if len(wrong) > _NAMED else []
        raise UsageError(*wrong[:_NAMED], *more)


def refuse_other_book(state: BookState, adopt: bool = False) -> None:
    """Check that the folder belongs to this book or to none.

    Raises:
        UsageError: it belongs to another book, and `adopt` is false.
    """
    other = _other_book(state)
    if other is not None and not adopt:
        raise UsageError(
            f"{state.folder} belongs to {other}; choose another folder for {state.plan.manuscript.path.name} with "
            "output.folder or --output, or take this one over with `render --adopt` (which keeps all takes and "
            "overwrites chapter files of the same name)"
        )


def claim_folder(state: BookState, adopt: bool = False, upgrade: bool = False) -> None:
    """Record that the folder, which is locked, belongs to this book; what is in it and not the book's is unclaimed.

    With `upgrade`, the newest rules for texts and audio apply from now on.

    Raises:
        UsageError: it belongs to another book, and `adopt` is false.
        MachineError: a file cannot be written.
    """
    refuse_other_book(state, adopt)
    manifest, before = state.plan.manuscript.path, state.book_id
    text_rules, audio_rules = (TEXT_RULES, AUDIO_RULES) if upgrade else state.rules
    now = BookId(
        id=new_id() if before is None or _other_book(state) is not None else before.id,
        manifest=manifest.name,
        path=path_from(state.folder, manifest),
        title=state.plan.book.title,
        text_rules=text_rules,
        audio_rules=audio_rules,
        reports=dict(_old_reports(state)) if before is None else before.reports,
    )
    if state.lock.begun:
        state.lock.save()  # with the new name of a model that was moved
    if now == before:
        return
    if before is None or now.id != before.id:
        # In another book's folder all takes stay that book's, even those that this book can use.
        keep_unclaimed(state, but_own=before is None)
    elif now.manifest != before.manifest:
        log.info("this folder belongs to %s; its takes show that %s is the same book", before.manifest, now.manifest)
    write_book_id(hidden_folder(state.folder), now)
    state.book_id = now


def _other_book(state: BookState) -> str | None:
    """The other book that the folder belongs to, worded for a message; None if it is this book's or no book's."""
    owner, manifest = state.book_id, state.plan.manuscript.path
    # If the other manifest still exists, the folder is its own, even if the two books share takes.
    known = None if owner is None else state.folder.resolve() / owner.path
    elsewhere = known is not None and known.is_file() and known.resolve() != manifest.resolve()
    if owner and not elsewhere and (owner.manifest, owner.title) == (manifest.name, state.plan.book.title):
        return None  # the usual case, which needs no list of the takes
    stored = state.store.keys()
    if not stored:
        return None  # nothing was rendered here
    if owner is None:
        return _other_old_book(state, stored)
    if not elsewhere and all_keys(state) & (stored - read_unclaimed(hidden_folder(state.folder)).keys):
        return None
    return f"the book {owner.title!r} ({owner.path})"


def _other_old_book(state: BookState, stored: set[str]) -> str | None:
    """As `_other_book` for a folder of version 0.1, which has no book.yaml: its last report names a manifest."""
    known, shared = _reported(state), stored & all_keys(state)
    manifest = state.plan.manuscript.path
    if known is not None and known.is_file():
        # Several books may have been rendered here: any book with half of the takes may be the owner.
        same = known.resolve() == manifest.resolve() or 2 * len(shared) >= len(stored)
    else:
        same = bool(shared) or (known is not None and known.name == manifest.name)
    return None if same else f"another book ({known.name if known else 'its takes match no chunk of this one'})"


def _reported(state: BookState) -> Path | None:
    """The manifest that a report in the folder names."""
    try:
        found = _BOOK.search(_ends(state.folder / JSON_NAME, _HEAD))
        return Path(json.loads(found[1])) if found else None
    except (OSError, ValueError):
        return None


def _old_reports(state: BookState) -> Iterator[tuple[str, str]]:
    """Name and digest of the reports of version 0.1, which carry no fingerprint."""
    if state.lock.begun:
        for name in (JSON_NAME, PAGE_NAME):
            try:
                yield name, _digest(state.folder / name)
            except OSError:
                continue


def _digest(path: Path) -> str:
    return hashlib.sha256(safe_read(path, _LARGEST_REPORT)).hexdigest()


def _foreign_files(state: BookState, adopt: bool) -> Iterator[str]:
    """The files that the book must not overwrite, each as a line of a message."""
    own = adopt or _has_own_chapters(state)
    manuscript = state.plan.manuscript
    sources, lexicon = [manuscript.path], state.plan.book.lexicon
    sources += [manuscript.folder / lexicon] if isinstance(lexicon, str) else []
    sources += [manuscript.folder / chapter.file for chapter in state.plan.book.chapters if chapter.file is not None]
    for source in sources:
        if hidden_folder(state.folder).resolve() in source.resolve().parents or is_part(source):
            yield f"{source} is a source of the book, but is in a place that maya-batch writes to; move it"
    record = subtitle_record(state)
    known = {(found.st_dev, found.st_ino): path for path in sources for found in [path.stat()]}
    targets = [target.path for chapter in state.plan.chapters for target in state.output.targets(chapter)]
    targets += [book_path(state)] if has_book_file(state) else []
    targets += subtitle_paths(state)
    targets += [epub_path(state)] if state.plan.book.output.has("epub3") else []
    targets += [sample_path(state)] if state.plan.book.sample is not None else []
    for path in (*targets, *(state.folder / name for name in (JSON_NAME, PAGE_NAME, LISTEN_NAME))):
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if (found.st_dev, found.st_ino) in known:
            source = known[found.st_dev, found.st_ino]
            yield f"{path} would be overwritten, but is a source of the book ({source}); choose another output folder"
        elif not stat.S_ISREG(found.st_mode) or not _is_ours(path, state, record):
            yield f"{path} was not written by maya-batch; move it, or choose another output folder"
        elif not own and path in targets:
            yield f"{path} is a chapter of a book without takes in this folder; move it or choose another output folder"


def _has_own_chapters(state: BookState) -> bool:
    """Whether chapter files in the folder are this book's: the folder has takes, or its book.yaml names this book."""
    owner = state.book_id
    named = owner and (owner.manifest, owner.title) == (state.plan.manuscript.path.name, state.plan.book.title)
    return bool(named) or bool(state.store.keys())


def _is_ours(path: Path, state: BookState, record: WrittenFiles) -> bool:
    if path.suffix[1:] in SUBTITLES:
        return record.has(path)
    if path.name not in (JSON_NAME, PAGE_NAME, LISTEN_NAME):
        return is_chapter(path) or was_chapter(path)
    if path.name == LISTEN_NAME or is_report(path):  # version 0.1 wrote no listen.html
        return is_report(path)
    if state.book_id is None:
        return state.lock.begun
    return path.name in state.book_id.reports and _digest(path) == state.book_id.reports[path.name]


def was_chapter(path: Path) -> bool:
    """Whether this was a chapter file, and was damaged or changed since."""
    try:
        return _COMMENT.search(_ends(path, _ENDS)) is not None
    except OSError:
        return False


def _ends(path: Path, size: int) -> bytes:
    """The first and the last bytes of a file."""
    with os.fdopen(safe_open(path, os.O_RDONLY), "rb") as file:
        head = file.read(size)
        file.seek(max(size, os.fstat(file.fileno()).st_size - size))
        return head + file.read(size)
