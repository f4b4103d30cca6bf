"""JSON that others wrote: a checkpoint's, or what lies in a cache."""

import json
from pathlib import Path
from typing import Any

from maya_batch.source_file import UnreadableError, read_bytes


def read_json(path: Path) -> Any:
    """What the JSON in a regular file of up to 20 MB says.

    Raises:
        ValueError: there is no such file, or it is no JSON; the message says why.
    """
    try:
        return json.loads(read_bytes(path).decode())
    except UnreadableError as error:
        raise ValueError(f"the file {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
