"""Changes values in a YAML text and leaves every other character as a person wrote it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import yaml

from maya_batch.importing.book_yaml import Keys, chapter_lines, scalar


class CannotEditError(Exception):
    """The text is written in a way that is not edited here, like a list in brackets."""


class YamlEdit:
    """Edits of a book.yaml, collected and then applied together."""

    def __init__(self, text: str) -> None:
        self._given = text
        self.text = text if text.endswith("\n") else text + "\n"
        try:
            root = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise CannotEditError from error
        if not isinstance(root, yaml.MappingNode) or root.flow_style:
            raise CannotEditError
        self._root = root
        self._edits: list[tuple[int, int, str]] = []

    def set_key(self, key: str, value: Any) -> None:
        """Write the value of a key at the top; None removes the key."""
        self._set(self._root, key, value, "")

    def set_chapter_key(self, number: int, key: str, value: Any) -> None:
        """Write the value of a key of a chapter, counted from 0 as they stand there; None removes the key."""
        item = self._items[number]
        self._set(item, key, value, " " * item.start_mark.column)

    def insert_chapter(self, number: int, chapter: Keys) -> None:
        """Write a chapter after the one with this number; -1 writes it before all."""
        items = self._items
        at = self._line_start(items[0]) if number < 0 else self._end(items[number])
        indent = self._indent(items[max(number, 0)])
        self._edits.append((at, at, "\n".join(chapter_lines(chapter, indent)) + "\n"))

    def remove_chapter(self, number: int) -> None:
        """Remove a chapter."""
        items = self._items
        self._indent(items[number])
        self._edits.append((self._line_start(items[number]), self._end(items[number]), ""))

    def is_as_written(self, number: int, chapter: Keys) -> bool:
        """Whether a chapter's lines are those that an import writes, in any order: without a comment, say."""
        item = self._items[number]
        lines = self.text[self._line_start(item) : self._end(item)].splitlines()
        return _sorted(lines) == _sorted(chapter_lines(chapter))

    def apply(self) -> str:
        """The edited text; without edits as it was given, also without a line feed at its end."""
        if not self._edits:
            return self._given
        parts: list[str] = []
        at = 0
        # At the same place what is inserted stands before what replaces text there.
        for start, end, new in sorted(self._edits, key=lambda edit: edit[:2]):
            parts += (self.text[at:start], new)
            at = end
        return "".join((*parts, self.text[at:]))

    @cached_property
    def _items(self) -> Sequence[yaml.MappingNode]:
        chapters = self._pair(self._root, "chapters")
        if chapters is None or not isinstance(chapters[1], yaml.SequenceNode) or chapters[1].flow_style:
            raise CannotEditError
        items = chapters[1].value
        if not items or not all(isinstance(item, yaml.MappingNode) and not item.flow_style for item in items):
            raise CannotEditError
        return list(items)

    def _pair(self, mapping: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
        return next(((k, v) for k, v in mapping.value if k.value == key), None)

    def _set(self, mapping: yaml.MappingNode, key: str, value: Any, indent: str) -> None:
        found = self._pair(mapping, key)
        if found is None:
            if value is not None:
                first = mapping.value[0][1]
                at = self._end(first)
                self._edits.append((at, at, f"{indent}{key}: {scalar(value)}\n"))
            return
        name, old = found
        if isinstance(old, yaml.CollectionNode) and not old.flow_style:
            raise CannotEditError
        if value is None:
            start = self.text.rfind("\n", 0, name.start_mark.index) + 1
            if self.text[start : name.start_mark.index].strip():
                raise CannotEditError
            self._edits.append((start, self._end(old), ""))
            return
        is_block = isinstance(old, yaml.ScalarNode) and old.style in ("|", ">")
        start, end = old.start_mark.index, old.end_mark.index
        space = "" if self.text[start - 1 : start].isspace() else " "
        self._edits.append((start, end, space + scalar(value) + ("\n" if is_block else "")))

    def _indent(self, item: yaml.Node) -> str:
        """The white space before the dash of an item."""
        before = self.text[self._line_start(item) : item.start_mark.index]
        if before.strip() != "-":
            raise CannotEditError
        return before[: before.index("-")]

    def _line_start(self, node: yaml.Node) -> int:
        return self.text.rfind("\n", 0, node.start_mark.index) + 1

    def _end(self, node: yaml.Node) -> int:
        """Where the line after a value begins."""
        while isinstance(node, yaml.MappingNode | yaml.SequenceNode) and node.value and not node.flow_style:
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        index = node.end_mark.index
        if self.text[index - 1 : index] == "\n":
            return index
        return self.text.index("\n", index) + 1


def _sorted(lines: Sequence[str]) -> list[str]:
    return sorted(line.strip().removeprefix("- ").lstrip() for line in lines)
