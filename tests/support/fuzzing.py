"""Damaged inputs for `maya-batch`: every file that it reads, changed where its structure says that something stands.

An input is a folder with a rendered book in which one to three things were changed, and a command. What it is depends
on its number alone.
"""

import io
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Draw = random.Random

#: What stands where something else should: numbers and texts at the edges of what formats, terminals and files take.
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    float("nan"),
    float("inf"),
    2**63,
    "",
    " ",
    "no",
    "~",
    "../../outside",
    "/etc/passwd",
    "a/" * 1500,
    "x" * 5000,
    "\x1b[2J\x07\x9b\r",
    "\u202eevil\u2066\u200f",
    "2026-01-01 00:00:00 ERROR forged\nsecond",
    "\ud800",
    "\x00",
    "é你好👩‍🚀",
    [],
    {},
    [[[[[["deep"]]]]]],
    {"key": {"key": {}}},
    ["text"] * 300,
    {"a": 1, "b": None},
)

#: Pieces of chapter texts: markup, whole and broken, and characters that libraries stumble over.
PIECES = (
    "The night was dark. ",
    "Endless talk. ",
    "<sigh> ",
    "<laugh>",
    "</laugh>",
    "<no_such>",
    "<custom_token_5>",
    "<",
    "[anna] ",
    "[nobody]",
    "[",
    r"\[ \] \< \\ ",
    "“Yes,” she said. ",
    "“" * 80,
    "—" * 300,
    "``''" * 20,
    "1,250,000.5 ",
    "9" * 700 + " ",
    "https://example.com/" + "a" * 3000 + " ",
    "你好。世界" * 300,
    "e\u0301" * 200,
    "\u202e\u200b\ufeff\u00ad",
    "word" * 1500,
    "\n\n",
    "\n\n* * *\n\n",
    "\t",
    "\x0c",
    "\x07",
    "Dr. No. ",
    "… ",
)


@dataclass(frozen=True)
class Input:
    """What is run, and what was changed for it."""

    arguments: list[str]
    changed: list[str]


def damage(folder: Path, number: int) -> Input:
    """Change the book in `folder`, which is a copy of a rendered one, as this number of an input says."""
    draw = Draw(number)
    changed = [_CHANGES[draw.choice(sorted(_CHANGES))](folder, draw) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
    return Input(_command(folder, draw), changed)


def _command(folder: Path, draw: Draw) -> list[str]:
    book = str(folder / "book.yaml")
    command = draw.choice(
        (
            ["plan", book],
            ["status", book],
            ["status", book, "--json"],
            ["render", book],
            ["render", book],
            ["render", book, "--config", str(folder / "machine.yaml")],
            ["assemble", book],
            ["redo", book, "1:1"],
            ["redo", book, "1:1", "--keep", "1"],
            ["clean", book],
        )
    )
    if draw.random() < 0.05:
        command = [*command, draw.choice(("--output", "--model", "--device")), _text(draw)]
    return command


def _text(draw: Draw) -> str:
    return (
        next(
            value for value in iter(lambda: draw.choice(VALUES), ...) if isinstance(value, str) and "\x00" not in value
        )
        .encode(errors="replace")
        .decode()
    )


# --- files of structure ------------------------------------------------------------------------------------------


def _mutated(data: Any, draw: Draw) -> Any:
    """The data with one thing in it changed: another value, a key more, less or under another name, an item twice."""
    if isinstance(data, dict) and data and draw.random() < 0.8:
        key = draw.choice(sorted(data, key=str))
        what = draw.random()
        if what < 0.6:
            return data | {key: _mutated(data[key], draw)}
        rest = {name: value for name, value in data.items() if name != key}
        if what < 0.8:
            return rest
        return rest | {draw.choice(("new", "title", "\x1b[31m", "<<", "1")): data[key]}
    if isinstance(data, list) and data and draw.random() < 0.8:
        at = draw.randrange(len(data))
        return [*data[:at], *([data[at]] * draw.choice((0, 1, 2, 50))), _mutated(data[at], draw), *data[at + 1 :]]
    return draw.choice(VALUES)


def _in_yaml(name: str) -> Callable[[Path, Draw], str]:
    def change(folder: Path, draw: Draw) -> str:
        path = folder / name
        mutated = _mutated(_read(path, yaml.safe_load), draw)
        text = yaml.safe_dump(_for_yaml(mutated), sort_keys=False, allow_unicode=draw.random() < 0.5)
        _put(path, _as_bytes(text, draw))
        return f"{name}: {str(mutated)[:200]!r}"

    return change


def _in_json(name: str) -> Callable[[Path, Draw], str]:
    def change(folder: Path, draw: Draw) -> str:
        path = folder / name
        mutated = _mutated(_read(path, json.loads), draw)
        _put(path, _as_bytes(json.dumps(mutated), draw))
        return f"{name}: {str(mutated)[:200]!r}"

    return change


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    """What is in a file; None where an earlier change has left nothing that can be read."""
    try:
        data = parse(path.read_text()) if path.is_file() else None
        json.dumps(data, default=str)  # an anchor may hold an alias of itself
    except (ValueError, TypeError, RecursionError, yaml.YAMLError):
        return None
    return data


def _put(path: Path, content: bytes) -> None:
    """Write it, unless an earlier change has put something else in the file's place."""
    if (path.is_file() and not path.is_symlink()) or (not path.exists() and not path.is_symlink()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _for_yaml(data: Any) -> Any:
    """As PyYAML can write it: it has no lone surrogates."""
    if isinstance(data, dict):
        return {_for_yaml(key): _for_yaml(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_for_yaml(item) for item in data]
    return data.replace("\ud800", "?") if isinstance(data, str) else data


def _as_bytes(text: str, draw: Draw) -> bytes:
    """The text in a file, most times as it should be."""
    if draw.random() < 0.85:
        return text.encode(errors="replace")
    return draw.choice(
        (
            lambda: b"\xef\xbb\xbf" + text.encode(errors="replace").replace(b"\n", b"\r\n"),
            lambda: text.encode("utf-16", errors="replace"),
            lambda: text.encode(errors="replace")[: draw.randrange(len(text) + 1)],
            lambda: text.encode(errors="replace") + draw.randbytes(20),
            lambda: b"[" * 20_000,
            lambda: b"a: &a [*a]\n" + text.encode(errors="replace"),
            lambda: b"&a [" + b"x," * 50 + b"]\n",
            lambda: b"!!python/object/apply:os.system [touch outside]",
            lambda: b"{" + b'"a":' * 5000,
            lambda: b"",
        )
    )()


# --- takes, and files as such ------------------------------------------------------------------------------------


def _take(folder: Path, draw: Draw) -> str:
    """A take whose evidence or whose arrays are others; its checksums are right."""
    path = draw.choice(sorted(folder.rglob("*.npz")) or [folder / "book" / "1.npz"])
    if not path.is_file():
        return "no take is left"
    try:
        with np.load(path) as arrays:
            codes, meta = arrays["codes"], json.loads(str(arrays["meta"]))
    except Exception:
        return "the take is damaged already"
    if draw.random() < 0.7:
        meta = _mutated(meta, draw)
    else:
        codes = draw.choice(
            (codes[:0], codes[:1], codes.T, codes.astype(np.float64), codes + 60000, codes.ravel(), codes[:, :3])
        )
    file = io.BytesIO()
    (np.savez if draw.random() < 0.8 else np.savez_compressed)(file, codes=codes, meta=np.array(json.dumps(meta)))
    path.write_bytes(file.getvalue())
    return f"{path.name} of {path.parent.name[:4]}: {codes.dtype} {codes.shape}, {str(meta)[:150]!r}"


def _file(folder: Path, draw: Draw) -> str:
    """Any file: cut off, with bytes changed, empty, or something else in its place."""
    path = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "outside"))
    data, how = path.read_bytes(), draw.randrange(7)
    path.unlink()
    match how:
        case 0:
            path.write_bytes(data[: draw.randrange(len(data) + 1)])
        case 1:
            changed = bytearray(data)
            for _ in range(draw.randint(1, 20)):
                if changed:
                    changed[draw.randrange(len(changed))] = draw.randrange(256)
            path.write_bytes(bytes(changed))
        case 2:
            path.touch()
        case 3:
            path.mkdir()
        case 4:
            path.symlink_to(folder / "outside")
        case 5:
            os.mkfifo(path)
        case 6:
            path.write_bytes(draw.randbytes(3000))
    return f"{path.relative_to(folder)}: {how}"


def _chapter(folder: Path, draw: Draw) -> str:
    """A text of pieces, inline or in a file."""
    text = "".join(draw.choice(PIECES) for _ in range(draw.randint(1, 12)))
    path = folder / "book.yaml"
    data = _read(path, yaml.safe_load)
    try:
        chapter = draw.choice(data["chapters"])
        chapter.pop("text", None)
        if draw.random() < 0.5:
            _put(folder / "one.txt", _as_bytes(text, draw))
            chapter["file"] = draw.choice(("one.txt", "./one.txt", "../outside", "lm", "/dev/zero"))
        else:
            chapter["text"] = text
    except (TypeError, KeyError, AttributeError, IndexError):
        return "no chapter is left"
    _put(path, yaml.safe_dump(_for_yaml(data), sort_keys=False, allow_unicode=True).encode())
    shown = re.sub(r"(.)\1{20,}", r"\1…", text)
    return f"a chapter: {shown[:200]!r}"


def _language(folder: Path, draw: Draw) -> str:
    """A whole book with other numbers in it, which moves what is spoken and how it is judged."""
    path = folder / "book.yaml"
    text = str(_read(path, str) or "")
    key = draw.choice(("attempts", "chunk_words", "seed", "temperature", "failed", "max_tokens"))
    number = draw.choice((1, 5, 0.5, "omit", 56, -3))
    _put(path, text.replace("render:\n", f"render:\n  {key}: {number}\n", 1).encode())
    return f"render.{key}"


_CHANGES: dict[str, Callable[[Path, Draw], str]] = {
    "manifest": _in_yaml("book.yaml"),
    "manifest again": _in_yaml("book.yaml"),
    "machine": _in_yaml("machine.yaml"),
    "lock": _in_yaml("book/.maya/model.lock"),
    "choices": _in_yaml("book/.maya/choices.yaml"),
    "book id": _in_yaml("book/.maya/book.yaml"),
    "figures": _in_json("book/.maya/chapters.json"),
    "unclaimed": _in_json("book/.maya/unclaimed.json"),
    "report": _in_json("book/report.json"),
    "layout": _in_json("lm/maya_tokens.json"),
    "model": _in_json("lm/config.json"),
    "codec": _in_json("codec/config.json"),
    "take": _take,
    "take again": _take,
    "file": _file,
    "chapter": _chapter,
    "chapter again": _chapter,
    "numbers": _language,
}


# --- what must be true -------------------------------------------------------------------------------------------


def takes_in(folder: Path) -> list[bytes]:
    """What no command may lose: the codes of each take, or its bytes where they cannot be read."""
    found = []
    for path in sorted(folder.rglob("*.npz*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(".part"):
            data = path.read_bytes()
            try:
                with np.load(io.BytesIO(data)) as arrays:
                    found.append(arrays["codes"].tobytes())
            except Exception:
                found.append(data)
    return found


def others_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is not the book's output: names, kinds, and contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not name.startswith("book/") and name != "book":
            kind = path.lstat().st_mode
            found[name] = kind, path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    return found


def copy(template: Path, folder: Path) -> None:
    """The rendered book as it was."""
    shutil.copytree(template, folder, symlinks=True)
