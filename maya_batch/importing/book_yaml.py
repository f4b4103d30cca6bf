"""Writes the book.yaml of an imported book: keys with their values, chapters, and comments for those who edit it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from maya_batch.importing.blocks import Metadata
from maya_batch.importing.chapters import Chapter
from maya_batch.importing.titles import one_line
from maya_batch.manifest.metadata import LONGEST_DESCRIPTION, is_date, is_isbn
from maya_batch.manifest.one_line import LONGEST_LINE

NARRATOR = (
    "Realistic female voice in the 30s age with american accent. Normal pitch, warm timbre, conversational pacing."
)
"""The voice that an imported book begins with."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_DATE_LENGTHS = (len("1895-05-07"), len("1895-05"), len("1895"))
_NUMBER = re.compile(r"\d{1,5}(\.\d{1,3})?")
_COMMENTS: Mapping[str, str] = {
    "announce": "each chapter begins with its title, spoken",
    "voices": "Describe the voices in words. Where a chapter's text says [anna], the voice anna reads on.",
    "chapters": "A chapter with `skip` is not read aloud; delete that line to have it read.",
}

Keys = dict[str, Any]
"""Keys of a manifest or of a chapter in it, in the order in which they are written."""


def book_keys(metadata: Metadata, name: str, cover: str) -> Keys:
    """The keys of the book besides its chapters; `name` is its title if the manuscript has none."""
    keys: Keys = {
        "title": _line(metadata.title) or _line(name) or "Book",
        "subtitle": _line(metadata.subtitle),
        "author": _line(", ".join(metadata.authors)),
        "series": _series(metadata),
        "publisher": _line(metadata.publisher),
        "date": _date(metadata.date),
        "isbn": metadata.isbn if is_isbn(metadata.isbn) else "",
        "description": _paragraphs(metadata.description),
        "language": metadata.language if _LANGUAGE.fullmatch(metadata.language) else "",
        "cover": cover,
        "announce": True,
        "voices": {"narrator": NARRATOR},
        "voice": "narrator",
    }
    return {key: value for key, value in keys.items() if value}


def chapter_keys(chapter: Chapter, file: str) -> Keys:
    """The keys of a chapter whose text is in `file`."""
    # The text of a part before its first chapter has the title of the part, which is said once.
    opens_part = not chapter.skip and f", {chapter.part}".endswith(f", {chapter.title}")
    keys: Keys = {
        "title": _line(chapter.title),
        "subtitle": _line(chapter.subtitle),
        "part": "" if chapter.skip else _line(chapter.part),
        "announce": _line(chapter.part) if opens_part else "",
        "file": file,
        "skip": chapter.skip,
    }
    return {key: value for key, value in keys.items() if value}


def write_yaml(keys: Keys, chapters: Sequence[Keys], source: str) -> str:
    """The whole file."""
    lines = [
        f"# Imported from {one_line(source)} by maya-batch. Edit it freely: importing again keeps your changes.",
    ]
    for key, value in keys.items():
        if key == "voices":
            lines += [
                "",
                f"# {_COMMENTS[key]}",
                f"{key}:",
                *(f"  {name}: {scalar(text)}" for name, text in value.items()),
            ]
        else:
            comment = f"  # {_COMMENTS[key]}" if key in _COMMENTS else ""
            lines.append(f"{key}: {scalar(value)}{comment}")
    lines += ["", f"# {_COMMENTS['chapters']}", "chapters:"]
    lines += [line for chapter in chapters for line in chapter_lines(chapter)]
    return "\n".join(lines) + "\n"


def chapter_lines(chapter: Keys, indent: str = "  ") -> list[str]:
    """A chapter as an item of the list."""
    pairs = [f"{key}: {scalar(value)}" for key, value in chapter.items()]
    return [f"{indent}{'- ' if at == 0 else '  '}{pair}" for at, pair in enumerate(pairs)]


def scalar(value: Any) -> str:
    """A value on one line, with quotes where YAML needs them."""
    if isinstance(value, str) and "\n" in value:
        return str(yaml.safe_dump(value, default_style='"', width=10**9, allow_unicode=True)).strip()
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False)
    return str(dumped).removesuffix("...\n").strip()


def _line(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1].rstrip() + "…"


def _paragraphs(text: str) -> str:
    lines = [one_line(line) for line in text.splitlines()]
    return "\n".join(line for line in lines if line)[:LONGEST_DESCRIPTION].strip()


def _series(metadata: Metadata) -> Keys:
    name = _line(metadata.series)
    if not name:
        return {}
    number = metadata.series_number.strip()
    if not _NUMBER.fullmatch(number):
        return {"name": name}
    return {"name": name, "number": float(number) if "." in number else int(number)}


def _date(text: str) -> str:
    """The beginning of a date or of a time that is a day, a month or a year of the calendar."""
    text = text.strip()
    ends = (length for length in _DATE_LENGTHS if not text[length : length + 1].isdigit())
    return next((text[:length] for length in ends if is_date(text[:length])), "")
