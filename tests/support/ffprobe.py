"""Debian's ffprobe, which reads files apart from the ffmpeg that wrote them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")


def probe(path: Path) -> Any:
    """Format, streams and chapters of a file, as ffprobe tells them; it prints no error."""
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json"]
    ran = subprocess.run([*command, f"file:{path}"], capture_output=True, text=True, check=True)
    assert ran.stderr.replace("Unsupported codec with id 98314 for input stream 1\n", "") == ""
    return json.loads(ran.stdout)


def lower_tags(told: Any) -> dict[str, str]:
    """The tags of the whole file, by their names in small letters, as Audiobookshelf looks them up."""
    return {name.lower(): text for name, text in told["format"]["tags"].items()}
