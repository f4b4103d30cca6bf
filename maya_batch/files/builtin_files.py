"""Files that come with the program: the demo voice and the machine configurations."""

from importlib.resources import files
from pathlib import Path


def builtin(*parts: str) -> Path:
    """The path of a packaged file or folder, such as `builtin("assets", "demo-voice")`.

    A wheel carries assets/ and configs/ inside the package; a source tree has them beside it.
    """
    package = Path(str(files("maya_batch")))
    inside = package.joinpath(*parts)
    return inside if inside.exists() else package.parent.joinpath(*parts)
