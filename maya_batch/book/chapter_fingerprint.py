"""The fingerprint of a chapter's files: a digest of all that they are made of, which is their comment.

What version 0.2 did not have is in it only where a book uses it, so that its files stay current.
"""

import hashlib
import json
from collections.abc import Sequence

from maya_batch.audio.writers import FORMATS
from maya_batch.book.chunk import Chapter
from maya_batch.book.plan import Plan
from maya_batch.book.track_tags import described, more_tags, track_of
from maya_batch.manifest import Format

COMMENT_PREFIX = "maya-batch "
"""The start of every chapter file's comment; a fingerprint follows."""

#: They have no further tags.
_FORMATS_OF_0_2 = frozenset({"wav", "mp3"})

#: The names of what only the tags are made of.
_OF_TAGS: tuple[str, ...] = ("tags", "more_tags", "described")

UsedTake = tuple[str, int, float]
"""The key and the attempt of a take, and the silence after it in seconds."""


def made_of(
    plan: Plan, chapter: Chapter, takes: Sequence[UsedTake], codec: str | None, rules: int, formats: Sequence[Format]
) -> dict[str, object]:
    """All that a chapter's files in these formats are made of; `rules` is the version of the audio rules."""
    book, pauses, types = plan.book, plan.pauses, {format_.type for format_ in formats}
    found: dict[str, object] = {
        "version": rules,
        "codec": codec,
        "dropped": plan.layout.clip_start_samples,
        "takes": takes,
        "edges": [pauses.chapter_start + chapter.chunks[0].pause_before, pauses.chapter_end],
        "formats": [_entry(format_) for format_ in formats],
    }
    if not all(FORMATS[name].of_book for name in types):  # a stream has no tags
        found["tags"] = [chapter.title, book.title, book.author, *track_of(book, chapter)]
        if more := more_tags(plan.manuscript):
            found["more_tags"] = more
        if not types <= _FORMATS_OF_0_2:
            found["described"] = described(plan.manuscript)
    if chapter.jingle and plan.manuscript.jingle is not None:
        found["jingle"] = [plan.manuscript.jingle.digest, pauses.after_jingle]
    if book.master is not None:
        found["master"] = book.master.model_dump(exclude={"preset"})
    return found


def fingerprint(parts: dict[str, object]) -> str:
    """A digest of all of it, as version 0.2 wrote it into each file of a chapter."""
    return COMMENT_PREFIX + _digest(parts, 32)


def file_fingerprint(parts: dict[str, object]) -> str:
    """The comment of one file: 16 digits of all that its sound is made of, then 16 of its tags."""
    tags = {name: parts[name] for name in _OF_TAGS if name in parts}
    sound = {name: part for name, part in parts.items() if name not in tags}
    return COMMENT_PREFIX + _digest(sound, 16) + _digest(tags, 16)


def same_sound(one: str, other: str) -> bool:
    """Whether two comments of files differ in nothing but the tags. Those of version 0.2 never tell."""
    sound = len(COMMENT_PREFIX) + 16
    return one.startswith(COMMENT_PREFIX) and one[:sound] == other[:sound]


def _entry(format_: Format) -> list[str | int | None]:
    more = [] if format_.sample_rate is None else [format_.sample_rate]
    return [format_.type, format_.bitrate, *more, *([] if format_.mode is None else [format_.mode])]


def _digest(value: dict[str, object], digits: int) -> str:
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:digits]
