"""Loads untrusted YAML as plain data, and knows the line and column of every value and character.

Scalars stay the strings that were written, so `title: 1984` is text and `voice: no` is not a boolean;
only a plain null is None. Nothing is constructed, expanded or executed.
"""

from typing import Any, TypeAlias

import yaml

from maya_batch.errors import Finding
from maya_batch.manifest.source_text import Lines, decode
from maya_batch.manifest.yaml_offsets import ScalarPlaces
from maya_batch.messages.quoting import quoted

Data: TypeAlias = "dict[str, Data] | list[Data] | str | None"
DataPath: TypeAlias = tuple[str | int, ...]

MOST_NODES = 100_000
"""The most values in a document; an alias counts as all the values that it stands for."""
MOST_DEPTH = 50
"""How deep lists and mappings may nest."""

_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_NULL_TAG = "tag:yaml.org,2002:null"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# The base loader resolves no types, so a tag other than a core one was written by hand.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MENDS = (
    ("mapping values are not allowed", "put quotes around text that contains a colon"),
    ("could not find expected ':'", "check the colon and the indentation"),
    ("did not find expected key", "check the indentation and the quotes"),
    ("found duplicate anchor", "give each anchor a different name"),
    ("found undefined alias", "put quotes around text that starts with *"),
    ("unexpected end of stream", "close the quote"),
)
_TOO_MANY = f"more than {MOST_NODES} values; an alias counts as all the values that it stands for"
_TOO_DEEP = f"nested more than {MOST_DEPTH} levels deep"


class YamlSource:
    """A loaded document: its `data`, and where each part of it was written."""

    def __init__(self, lines: Lines, text: str, root: yaml.Node, builder: "_Builder") -> None:
        self.data, _, _ = builder.build(root)
        self._lines = lines
        self._text = text
        self._root = root
        self._items = builder.items
        self._scalars: dict[int, ScalarPlaces] = {}

    def place(self, path: DataPath) -> tuple[int, int]:
        """The line and column of the value at `path`, or of the nearest value around it."""
        _, value, _ = self._find(path)
        return self._lines.place(value.start_mark.index)

    def key_place(self, path: DataPath) -> tuple[int, int]:
        """The line and column of the last key of `path`; of the value if there is no key."""
        key, value, whole = self._find(path)
        return self._lines.place((key if whole and key else value).start_mark.index)

    def locate(self, path: DataPath, offset: int) -> tuple[int, int]:
        """The line and column where the character `offset` of the string at `path` was written.

        A blank character gets the place after the visible one before it.
        """
        _, node, whole = self._find(path)
        if not whole or not isinstance(node, yaml.ScalarNode):
            return self.place(path)
        places = self._scalars.get(id(node))
        if places is None:
            places = self._scalars[id(node)] = ScalarPlaces(node, self._text)
        return self._lines.place(places.offset(offset))

    def _find(self, path: DataPath) -> tuple[yaml.Node | None, yaml.Node, bool]:
        """The last key, the value, and whether the whole path was there."""
        key: yaml.Node | None = None
        node = self._root
        for step in path:
            if isinstance(node, yaml.MappingNode) and step in self._items[id(node)]:
                key, node = self._items[id(node)][str(step)]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
                key, node = None, node.value[step]
            else:
                return key, node, False
        return key, node, True


def load(raw: bytes, file: str) -> tuple[YamlSource | None, list[Finding]]:
    """The document in `raw`, None if it cannot be used, and its mistakes; never raises for bad content.

    `file` is the name that findings show.
    """
    text, findings = decode(raw, file)
    if findings:
        return None, findings
    text = text.replace("\f", " ")  # a page break is white space, which YAML does not know
    lines = Lines(text)
    builder = _Builder(file, lines)
    try:
        _check_events(text, builder)
        root = yaml.compose(text, Loader=_LOADER)
        if root is None:
            raise _UnusableError(Finding(file, 1, 1, "the file is empty", "write `key: value` lines"))
        source = YamlSource(lines, text, root, builder)
    except _UnusableError as error:
        return None, [*builder.findings, error.finding]
    except yaml.MarkedYAMLError as error:
        return None, [_syntax_finding(error, text, builder)]
    except yaml.YAMLError as error:
        what = "not valid YAML: " + " ".join(str(error).split())
        return None, [Finding(file, 1, 1, what)]
    return source, builder.findings


class _UnusableError(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def _check_events(text: str, builder: "_Builder") -> None:
    """Refuse documents too large or too deep to compose; parsing events neither recurses nor keeps anything."""
    depth = documents = nodes = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            if nodes > MOST_NODES:
                raise builder.unusable(event, _TOO_MANY)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                raise builder.unusable(event, _TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                what = "a second YAML document starts here"
                raise builder.unusable(event, what, "remove the line `---`; a file may have only one document")


def _syntax_finding(error: yaml.MarkedYAMLError, text: str, builder: "_Builder") -> Finding:
    mark = error.problem_mark or error.context_mark
    at = mark.index if mark else 0
    problem = " ".join((error.problem or error.context or "unreadable").split())
    mend = next((mend for words, mend in _MENDS if words in problem), "")
    if text[at : at + 1] == "\t":
        mend = "indent with spaces; YAML takes no tab here"
    if error.problem and error.context and error.context_mark:
        line, _ = builder.lines.place(error.context_mark.index)
        problem += f" ({' '.join(error.context.split())} that starts in line {line})"
    return Finding(builder.file, *builder.lines.place(at), f"not valid YAML: {problem}", mend)


class _Builder:
    """Builds plain data from nodes; the value of an anchor is built once and shared by its aliases."""

    def __init__(self, file: str, lines: Lines) -> None:
        self.file = file
        self.lines = lines
        self.findings: list[Finding] = []
        self.items: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}
        self._built: dict[int, tuple[Data, int, int] | None] = {}

    def build(self, node: yaml.Node) -> tuple[Data, int, int]:
        """The node's data, its size in nodes with aliases counted in full, and its depth.

        An anchor stands before its aliases, so this recurses no deeper than the text nests.
        """
        known = self._built.get(id(node))
        if known is not None:
            return known
        if id(node) in self._built:  # started, not finished
            raise self.unusable(node, "an anchor contains its own alias", "write out the value")
        self._built[id(node)] = None
        if node.tag not in _CORE_TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self._find(node, f"the tag {quoted(tag)} is not allowed", "remove the tag")
        built: tuple[Data, int, int]
        if isinstance(node, yaml.MappingNode):
            built = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode):
            parts = [self.build(child) for child in node.value]
            depth = max((part[2] for part in parts), default=0) + 1
            built = [part[0] for part in parts], sum(part[1] for part in parts) + 1, depth
        else:
            plain = isinstance(node, yaml.ScalarNode) and not node.style
            null = node.tag == _NULL_TAG or (plain and node.value in _NULLS)
            built = None if null else node.value, 1, 0
        if built[1] > MOST_NODES:
            raise self.unusable(node, _TOO_MANY)
        if built[2] > MOST_DEPTH:
            raise self.unusable(node, _TOO_DEEP)
        self._built[id(node)] = built
        return built

    def _mapping(self, node: yaml.MappingNode) -> tuple[Data, int, int]:
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        size = depth = 0
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._find(key, "a key must be a plain word, not a list or a mapping")
                continue
            self.build(key)
            _, value_size, value_depth = self.build(value)
            size, depth = size + value_size + 1, max(depth, value_depth)
            if key.value == "<<" and not key.style:
                merged = self._merged(value) | merged
            elif key.value in own:
                first, _ = self.lines.place(own[key.value][0].start_mark.index)
                what = f"the key {quoted(key.value)} is repeated; the first one is in line {first}"
                self._find(key, what, "remove one of them")
            else:
                own[key.value] = key, value
        items = self.items[id(node)] = {**merged, **own}
        return {name: self.build(value)[0] for name, (_, value) in items.items()}, size + 1, depth + 1

    def _merged(self, value: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The items that `<<: value` adds; of several mappings the first one wins."""
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(source, yaml.MappingNode):
                merged = self.items[id(source)] | merged
            else:
                self._find(source, "`<<` takes a mapping or a list of mappings", "write `<<: *name`")
        return merged

    def _find(self, node: yaml.Node, what: str, mend: str = "") -> None:
        self.findings.append(self.unusable(node, what, mend).finding)

    def unusable(self, marked: yaml.Node | yaml.Event, what: str, mend: str = "") -> _UnusableError:
        """The error to raise for the value at `marked`."""
        place = self.lines.place(marked.start_mark.index if marked.start_mark else 0)
        return _UnusableError(Finding(self.file, *place, what, mend))
