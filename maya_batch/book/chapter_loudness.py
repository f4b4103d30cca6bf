"""Length and loudness of chapter files, kept as they are measured while a file is written, so that no report has to.

Nothing depends on them but reports: a file that cannot be read counts as empty, and is measured anew.
"""

import json
import logging
import math
from collections.abc import Container
from pathlib import Path
from threading import Lock

from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read

log = logging.getLogger(__name__)

#: Bytes: 80,000 chapters.
_LARGEST = 8 * 2**20


class ChapterStats:
    """The file `chapters.json` of one book: seconds and LUFS by the fingerprint that a chapter's files carry."""

    def __init__(self, folder: Path) -> None:
        self._path, self._lock = folder / "chapters.json", Lock()

    def get(self, fingerprint: str) -> tuple[float, float | None] | None:
        """Seconds and loudness in LUFS (None: silence) of the files with this fingerprint; None where not measured."""
        return self._read().get(fingerprint)

    def put(self, fingerprint: str, seconds: float, lufs: float | None) -> None:
        """Keep them.

        Raises:
            MachineError: the disk does not take the file.
        """
        with self._lock:  # several chapters are measured at a time
            stats = {name: list(pair) for name, pair in self._read().items()} | {fingerprint: [seconds, lufs]}
            write_atomic(self._path, json.dumps(stats, indent=1).encode())

    def keep(self, fingerprints: Container[str]) -> None:
        """Forget those of all others: no file has their fingerprint any more.

        Raises:
            MachineError: the disk does not take the file.
        """
        known = self._read()
        kept = {fingerprint: list(pair) for fingerprint, pair in known.items() if fingerprint in fingerprints}
        if len(kept) < len(known):
            write_atomic(self._path, json.dumps(kept, indent=1).encode())

    def _read(self) -> dict[str, tuple[float, float | None]]:
        try:
            data = json.loads(safe_read(self._path, _LARGEST))
            return {str(fingerprint): _pair(*pair) for fingerprint, pair in data.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            log.debug("%s: %s; measured anew", self._path, error)
            return {}


def _pair(seconds: float, lufs: float | None) -> tuple[float, float | None]:
    numbers = float(seconds), None if lufs is None else float(lufs)
    if numbers[0] < 0 or not all(math.isfinite(number) for number in numbers if number is not None):
        raise ValueError(f"{numbers}: no length and loudness")
    return numbers
