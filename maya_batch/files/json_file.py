"""Reads JSON files of other programs within limits."""

import json
from pathlib import Path
from typing import Any

#: The largest file by default, in bytes; the files that describe a model or a codec take a thousandth of it.
MOST = 1_000_000


def read_json(path: Path, most: int = MOST) -> Any:
    """The content of the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a regular file, has more than `most` bytes, or is not valid JSON.
    """
    if not path.is_file():  # reading a pipe would block
        raise ValueError("no such file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    return parse_json(content, most)


def parse_json(content: bytes, most: int = MOST) -> Any:
    """The content of a file or of a part of one.

    Raises:
        ValueError: it has more than `most` bytes, or is not valid JSON.
    """
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    try:
        return json.loads(content.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_number(value: object, least: float, most: float) -> bool:
    """Whether a JSON value is a number from `least` to `most`; NaN never is."""
    return type(value) in (int, float) and least <= value <= most  # type: ignore[operator]
