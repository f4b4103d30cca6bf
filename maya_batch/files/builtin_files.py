"""Finds the files that come with the program: the demo voice and the machine configurations."""

from importlib.resources import files
from pathlib import Path


def builtin(*parts: str) -> Path:
    """The path of a packaged file or folder, for example `builtin("assets", "demo-voice")`.

    A wheel has assets/ and configs/ inside the package; a source tree has them next to it.
    """
    package = Path(str(files("maya_batch")))
    inside = package.joinpath(*parts)
    return inside if inside.exists() else package.parent.joinpath(*parts)
