"""JSON files that others wrote, read within bounds."""

import json
from pathlib import Path
from typing import Any

#: A megabyte: the files that describe a model or a codec take a thousandth of it.
MOST = 1_000_000


def read_json(path: Path, most: int = MOST) -> Any:
    """What stands in the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, has more than `most` bytes, or is no JSON that can be taken in.
    """
    if not path.is_file():  # a pipe would be waited for without end
        raise ValueError("no such file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    try:
        return json.loads(content.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_number(value: object, least: float, most: float) -> bool:
    """Whether a JSON value is a number within these bounds; NaN is within none."""
    return type(value) in (int, float) and least <= value <= most  # type: ignore[operator]
