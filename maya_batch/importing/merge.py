"""Merges a new import into a book.yaml that a person edited, value by value.

Three versions of each value: what the last import wrote, what stands there, what would be written now. What the person
changed stays; what only the manuscript changed is written; where both changed, the person's value stays, and it is a
conflict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maya_batch.importing.yaml_edit import CannotEditError, YamlEdit
from maya_batch.manifest.yaml_positions import load

Values = Mapping[str, Any]
_CHAPTER_KEYS = ("title", "subtitle", "part", "announce", "skip")


@dataclass(frozen=True)
class Merged:
    """A merged book.yaml."""

    text: str
    """The text that stands there, with what the manuscript changed."""
    conflicts: tuple[str, ...]
    """Where both changed; not empty means that the new version belongs next to this one."""


def values_of(text: str) -> dict[str, Any]:
    """The values of a book.yaml as strings, lists and mappings.

    Raises:
        CannotEditError: it is not valid YAML, or no mapping.
    """
    source, findings = load(text.encode(), "book.yaml")
    if source is None or findings or not isinstance(source.data, dict):
        raise CannotEditError
    return source.data


def merge(last: Values, text: str, new: Values, kept_files: frozenset[str]) -> Merged:
    """Merge.

    `last` and `new` are the values of the last import and of this one, `text` is the file that a person edited,
    `kept_files` has the chapter files that the person edited: the entry of such a chapter stays, even if it is gone
    from the manuscript.

    Raises:
        CannotEditError: the file is written in a way that is not edited here.
    """
    theirs = values_of(text)
    edit = YamlEdit(text)
    wanted: dict[str, Any] = {key: value for key, value in theirs.items() if key != "chapters"}
    conflicts = [
        f"`{key}`"
        for key in dict.fromkeys((*last, *new))
        if key != "chapters" and not _merge_key(last, theirs, new, key, wanted, edit.set_key)
    ]
    chapters = _Chapters(last, theirs, new, kept_files)
    wanted["chapters"] = chapters.merge(edit)
    merged = edit.apply()
    if values_of(merged) != {key: wanted[key] for key in wanted}:
        raise CannotEditError
    return Merged(merged, (*conflicts, *chapters.conflicts))


def _merge_key(last: Values, theirs: Values, new: Values, key: str, wanted: dict[str, Any], write: Any) -> bool:
    """Merge one key into `wanted`, and with `write` into the text; False if both changed."""
    before, there, now = last.get(key), theirs.get(key), new.get(key)
    if now in (before, there):
        return True
    if there != before:
        return False
    write(key, now)
    if now is None:
        wanted.pop(key, None)
    else:
        wanted[key] = now
    return True


class _Chapters:
    """The lists of chapters of the three versions; a chapter is known by its file."""

    def __init__(self, last: Values, theirs: Values, new: Values, kept_files: frozenset[str]) -> None:
        self._theirs = _items(theirs)
        self._last, self._new = _by_file(_items(last)), _by_file(_items(new))
        self._kept_files = kept_files
        self.conflicts: list[str] = []

    def merge(self, edit: YamlEdit) -> list[Any]:
        """Edit the list, and return what it is then."""
        numbers = {item.get("file"): at for at, item in reversed(list(enumerate(self._theirs)))}
        kept: list[dict[str, Any] | None] = []
        for at, item in enumerate(self._theirs):
            kept.append(self._merged(edit, at, item))
        common = [file for file in self._last if file in self._new]
        if [file for file in self._new if file in self._last] != common:
            self.conflicts.append("the order of the chapters")
        inserted: dict[int, list[dict[str, Any]]] = {}
        after = -1
        for file, chapter in self._new.items():
            if file in numbers:
                after = numbers[file]
            elif file not in self._last:
                edit.insert_chapter(after, chapter)
                inserted.setdefault(after, []).append(chapter)
        result = inserted.get(-1, [])[:]
        for at, merged in enumerate(kept):
            result += [*([merged] if merged is not None else []), *inserted.get(at, [])]
        return result

    def _merged(self, edit: YamlEdit, at: int, item: dict[str, Any]) -> dict[str, Any] | None:
        """What an entry becomes; None if its chapter is gone and the person changed nothing in it."""
        file = item.get("file")
        last, new = self._last.get(str(file)), self._new.get(str(file))
        if last is None:
            return item
        if new is None:
            if item == last and file not in self._kept_files and edit.is_as_written(at, last):
                edit.remove_chapter(at)
                return None
            self.conflicts.append(f"{file}: you changed it, and the manuscript no longer has it")
            return item
        wanted = dict(item)
        for key in _CHAPTER_KEYS:

            def write(name: str, value: Any) -> None:
                edit.set_chapter_key(at, name, value)

            if not _merge_key(last, item, new, key, wanted, write):
                self.conflicts.append(f"`{key}` of {file}")
        return wanted


def chapter_paths(values: Values) -> frozenset[str]:
    """The files of the chapters.

    Raises:
        CannotEditError: the chapters are no list of mappings.
    """
    return frozenset(_by_file(_items(values)))


def _items(values: Values) -> list[dict[str, Any]]:
    chapters = values.get("chapters")
    if not isinstance(chapters, list) or not all(isinstance(chapter, dict) for chapter in chapters):
        raise CannotEditError
    return chapters


def _by_file(chapters: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(chapter.get("file")): chapter for chapter in chapters}
