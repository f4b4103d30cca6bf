"""A file of `.maya` with what was measured when chapters were written, by the fingerprint of their files.

Only reports and cues depend on these files: one that cannot be read counts as empty, and they do without it.
"""

import json
import logging
from collections.abc import Collection, Container, Mapping
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read

log = logging.getLogger(__name__)

Record = TypeVar("Record")

#: The largest file, in bytes: a million clips.
_LARGEST = 64 * 2**20


class ChapterRecords(Generic[Record]):
    """The records of one book. The file is read once: only a run writes it, and a book has one run at a time.

    Any thread may use them: each chapter is recorded by the one that writes it.
    """

    def __init__(self, path: Path, content: type[dict[str, Record]]) -> None:
        self._path, self._content = path, content
        self._lock = Lock()
        self._known: dict[str, Record] | None = None
        """None: the file was not read yet."""
        self._texts: dict[str, str] = {}
        """The records as JSON: a book of 400 chapters is written 400 times."""

    def get(self, fingerprint: str) -> Record | None:
        """What was stored for the files with this fingerprint; None without it."""
        return self.all().get(fingerprint)

    def all(self) -> Mapping[str, Record]:
        """All that is stored."""
        with self._lock:
            return self._records()

    def put(self, fingerprint: str, record: Record) -> None:
        """Store it.

        Raises:
            MachineError: the file cannot be written.
        """
        self.put_each([fingerprint], record)

    def put_each(self, fingerprints: Collection[str], record: Record) -> None:
        """Store the same for several files, as `put` does.

        Raises:
            MachineError: the file cannot be written.
        """
        with self._lock:
            for fingerprint in fingerprints:
                self._texts.pop(fingerprint, None)
            self._write(self._records() | dict.fromkeys(fingerprints, record))

    def keep(self, fingerprints: Container[str]) -> None:
        """Remove all other fingerprints, which no file has any more.

        Raises:
            MachineError: the file cannot be written.
        """
        with self._lock:
            known = self._records()
            kept = {fingerprint: record for fingerprint, record in known.items() if fingerprint in fingerprints}
            if len(kept) < len(known):
                self._write(kept)

    def _records(self) -> dict[str, Record]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, Record]:
        try:
            return self._adapter.validate_json(safe_read(self._path, _LARGEST))
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError, RecursionError) as error:
            log.debug("%s: %s; what was measured is not known", self._path, error)
            return {}

    def _write(self, records: dict[str, Record]) -> None:
        # Sorted: the order in which chapters end says nothing.
        lines = (f"{json.dumps(fingerprint)}: {self._text(fingerprint, records)}" for fingerprint in sorted(records))
        write_atomic(self._path, f"{{{', '.join(lines)}}}".encode())
        self._known = records

    def _text(self, fingerprint: str, records: Mapping[str, Record]) -> str:
        if fingerprint not in self._texts:
            data = self._adapter.dump_python({fingerprint: records[fingerprint]})
            self._texts[fingerprint] = json.dumps(data[fingerprint], allow_nan=False)
        return self._texts[fingerprint]

    @cached_property
    def _adapter(self) -> TypeAdapter[dict[str, Record]]:
        """Made when a file is first read or written: most commands do neither."""
        return TypeAdapter(self._content, config=ConfigDict(allow_inf_nan=False))
