"""Validates data against the schema, words pydantic's errors for people, and continues past them.

A wrong value is removed or replaced by a stand-in, and the data is validated again: one mistake does not hide the next.
"""

import copy
from collections.abc import Collection, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from maya_batch.errors import Finding
from maya_batch.manifest.credits import Credits
from maya_batch.manifest.output import Format
from maya_batch.manifest.schema import Book, Series, Voice
from maya_batch.manifest.yaml_positions import Data, DataPath, YamlSource
from maya_batch.messages.quoting import quoted
from maya_batch.messages.suggestions import closest, listed

_MOST_PASSES = 20  # each pass patches all mistakes that it finds; four were always enough
_PLAIN = {"int": "a whole number", "float": "a number", "bool": "true or false"}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
}
_SHAPES = {
    "string": "text",
    "dict": "a mapping (`key: value` lines)",
    "model": "a mapping (`key: value` lines)",
    "tuple": "a list (lines that begin with `- `)",
    "voice": "a description of the voice, or a mapping with a `description:`",
    "format": "the name of a format, or a mapping with a `type:`",
    "credits": "true, or a mapping with `opening:` and `closing:`",
    "series": "the name of a series, or a mapping with a `name:`",
}


def read_book(source: YamlSource, file: str) -> tuple[Book | None, list[Finding], set[DataPath]]:
    """The book, its mistakes, and the paths that were patched.

    The book is None only if the document is not a mapping.
    """
    findings: list[Finding] = []
    patched: set[DataPath] = set()
    data = copy.deepcopy(source.data)
    for _ in range(_MOST_PASSES):
        try:
            return Book.model_validate(data), findings, patched
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in details:
            if detail["type"] == "too_short" and detail["input"]:
                continue  # it had items: all of them are wrong and reported
            path, at_key = _path(detail)
            of_key = at_key or "at" in detail.get("ctx", ())
            place = source.key_place(path) if of_key else source.place(path)
            findings.append(Finding(file, *place, *in_words(detail, path)))
            if not isinstance(data, dict):
                return None, findings, patched
            patched.add(path)
            _patch(data, path, at_key)
    return None, findings, patched


def suggestion(word: str, known: Collection[str], label: str) -> str:
    """`did you mean ...?` if a known word is close, then the known words after `label`."""
    close = closest(word[:60], known)
    mean = f"did you mean `{close}`? " if close else ""
    return f"{mean}{label}: {listed(known)}"


def _path(detail: ErrorDetails) -> tuple[DataPath, bool]:
    """The path of an error in the data, and whether its key must not be there."""
    path = detail["loc"]
    if path[:1] == ("lexicon",):
        path = (*path[:1], *path[2:])  # pydantic names the form of the lexicon
    if detail["type"] == "extra_forbidden":
        return path, True
    if path and path[-1] == "[key]":
        return path[:-1], True
    at = detail.get("ctx", {}).get("at")
    return (*path, at) if at else path, False


def in_words(detail: ErrorDetails, path: DataPath, root: type[BaseModel] = Book) -> tuple[str, str]:
    """What is wrong with the data at `path` of a `root`, and how to fix it."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    keys = [step for step in path if isinstance(step, str)]
    name = f"`{_unquoted(keys[-1])}`" if keys else "the manifest"
    if path and isinstance(path[-1], int):
        name = f"item {path[-1] + 1} of {name}"
    if kind == "manifest":
        what = str(context["what"])
        whole = what.startswith(("the ", "`", "'", '"'))  # it has its own subject
        return what if whole else f"{name} {what}", str(context["mend"])
    if kind == "extra_forbidden":
        known = _model(path[:-1], root).model_fields
        return f"unknown key {quoted(path[-1])}", suggestion(str(path[-1]), known, "allowed here")
    if kind == "missing":
        return f"{name} is missing", f"add `{path[-1]}:`"
    if kind == "too_short":
        return f"{name} is empty", "add at least one"
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"{name} cannot be {quoted(value)}", suggestion(str(value), choices, "known")
    if kind == "finite_number":
        return f"{name} must be a finite number, not {quoted(value)}", ""
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        limit = context[bound]
        limit = int(limit) if limit == int(limit) else limit
        return f"{name} must be {words} {limit}, not {_unquoted(value)}", ""
    stem = kind.partition("_")[0]
    if stem == "model" and (model := _model(path, root)) in (Voice, Format, Series, Credits):
        stem = model.__name__.lower()
    if stem in _PLAIN:
        return f"{name} must be {_PLAIN[stem]}, not {quoted(value)}", ""
    if stem in _SHAPES:
        if value is None:
            return f"{name} is empty", f"it must be {_SHAPES[stem]}"
        mend = f"write `[{_unquoted(value)}]`" if stem == "tuple" and path[-1:] == ("formats",) else ""
        return f"{name} must be {_SHAPES[stem]}, not {quoted(value)}", mend
    return f"{name}: {detail['msg']}", ""


def _unquoted(value: object) -> str:
    return quoted(value).strip("'")


def _model(path: DataPath, root: type[BaseModel]) -> type[BaseModel]:
    """What the data at `path` is checked against; for the items of a list or of a mapping, each of them."""
    model = root
    for step in path:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        model = model if field is None else next(_models(field.annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _patch(data: dict[str, Data], path: DataPath, at_key: bool) -> None:
    """Remove the value at `path`, or put a stand-in there if one is required."""
    if path[:1] in (("credits",), ("master",)):
        data.pop(str(path[0]), None)  # what is left of it without a value means something else
        return
    if at_key:
        _drop(data, path[:-1], path[-1])
        if not data.get("voices", True):
            data["voices"] = {"narrator": "A voice"}
        return
    match path:
        case ("title",):
            data["title"] = "Untitled"
        case ("voices",):
            data["voices"] = {"narrator": "A voice"}
        case ("voices", str(name)) | ("voices", str(name), "description"):
            _put(data, ("voices",), name, "A voice")
        case ("chapters",):
            data["chapters"] = [_chapter(0)]
        case ("chapters", int(index)):
            _put(data, ("chapters",), index, _chapter(index))
        case ("chapters", int(index), "title"):
            _put(data, path[:-1], "title", _chapter(index)["title"])
        case ("chapters", _, ("text" | "file") as key):
            _drop(data, path[:-1], key)
            chapter = _at(data, path[:-1])
            if isinstance(chapter, dict) and chapter.get("text") is None and chapter.get("file") is None:
                chapter["text"] = "-"
        case ("lexicon", *_):
            data.pop("lexicon", None)
        case ("series", "name"):
            _drop(data, (), "series")
        case ("output", "formats", *_):
            _drop(data, ("output",), "formats")
        case (*parents, leaf):
            _drop(data, tuple(parents), leaf)


def _chapter(index: int) -> dict[str, Data]:
    return {"title": f"Chapter {index + 1}", "text": "-"}


def _at(data: Any, path: DataPath) -> Any:
    """The value at a path; `Any`, because invalid data can be anything."""
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):  # an earlier patch removed it
            return None
    return data


def _put(data: Data, path: DataPath, step: str | int, value: Data) -> None:
    parent = _at(data, path)
    if parent is not None:
        parent[step] = value


def _drop(data: Data, path: DataPath, step: str | int) -> None:
    parent = _at(data, path)
    if isinstance(parent, dict):
        parent.pop(step, None)
