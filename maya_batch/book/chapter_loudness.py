"""Stores length and loudness of chapter files. They are measured when a file is written, so reports need not measure.

Only reports depend on them: a chapters.json that cannot be read counts as empty, and chapters are measured again.
"""

import json
import logging
import math
from collections.abc import Container
from pathlib import Path

from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read

log = logging.getLogger(__name__)

#: The largest file, in bytes: 80,000 chapters.
_LARGEST = 8 * 2**20


class ChapterStats:
    """The file `chapters.json` of one book: seconds and LUFS by the fingerprint of a chapter's files."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "chapters.json"

    def get(self, fingerprint: str) -> tuple[float, float | None] | None:
        """Seconds and loudness in LUFS (None: silence) of the files with this fingerprint; None if not measured."""
        return self._read().get(fingerprint)

    def put(self, fingerprint: str, seconds: float, lufs: float | None) -> None:
        """Store them.

        Raises:
            MachineError: the file cannot be written.
        """
        stats = self._read() | {fingerprint: (seconds, lufs)}
        write_atomic(self._path, json.dumps(stats, indent=1).encode())

    def keep(self, fingerprints: Container[str]) -> None:
        """Remove all other fingerprints, which no file has any more.

        Raises:
            MachineError: the file cannot be written.
        """
        known = self._read()
        kept = {fingerprint: pair for fingerprint, pair in known.items() if fingerprint in fingerprints}
        if len(kept) < len(known):
            write_atomic(self._path, json.dumps(kept, indent=1).encode())

    def _read(self) -> dict[str, tuple[float, float | None]]:
        try:
            data = json.loads(safe_read(self._path, _LARGEST))
            return {str(fingerprint): _pair(*pair) for fingerprint, pair in data.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            log.debug("%s: %s; chapters are measured again", self._path, error)
            return {}


def _pair(seconds: float, lufs: float | None) -> tuple[float, float | None]:
    numbers = float(seconds), None if lufs is None else float(lufs)
    if numbers[0] < 0 or not all(math.isfinite(number) for number in numbers if number is not None):
        raise ValueError(f"{numbers}: not a length and a loudness")
    return numbers
