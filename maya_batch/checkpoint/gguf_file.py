"""Reads the header of a GGUF file: its metadata, and where its tensors lie.

llama.cpp ends the whole process on some broken files, so this program reads each file itself before llama.cpp does, and
is at least as strict. The format is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and llama.cpp's
reader is ggml/src/gguf.cpp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any

from maya_batch.checkpoint.gguf_types import ARRAY, STRING, TENSORS, VALUES
from maya_batch.errors import MachineError
from maya_batch.messages.quoting import quoted

if TYPE_CHECKING:
    import numpy as np

#: The largest header in bytes, and the most texts in it; both bound the memory. Maya1's header takes 40 MB with its
#: tokenizer.json, and has 440,000 texts.
_MOST_HEADER, _MOST_TEXTS = 2**27, 2**22

#: Keys or tensors; Maya1's file has about 40 keys and 256 tensors.
_MOST_ITEMS = 2**16

#: Bytes of a key (by the format) and of a tensor's name (GGML_MAX_NAME, less the NUL).
_LONGEST_KEY, _LONGEST_NAME = 2**16 - 1, 63
_MOST_DIMENSIONS = 4

#: llama.cpp ends the process where a tensor in a mapped file is not aligned to 32 bytes (TENSOR_ALIGNMENT).
_ALIGNMENT, _MOST_ALIGNMENT = 32, 2**16

_U32, _U64 = Struct("<I"), Struct("<Q")


@dataclass(frozen=True)
class GgufTensor:
    """A tensor in a file.

    `shape` is in GGUF order, the length of a row first. `offset` counts from the start of the file; `size` is in bytes.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True)
class GgufFile:
    """The header of a GGUF file.

    Numbers, booleans and texts are Python's, an array of texts is a tuple, and an array of numbers is numpy's.
    """

    path: Path
    metadata: Mapping[str, object]
    tensors: tuple[GgufTensor, ...]
    types: Mapping[str, str]
    """The type of each value in the file, like `u32`, `str`, or `[i32]` for an array."""

    def value(self, key: str, *types: str) -> Any:
        """The value of a key, which must be of one of these types; None without the key.

        Raises:
            ValueError: it has another type.
        """
        found = self.types.get(key)
        if found is not None and found not in types:
            raise ValueError(f"{key} is of the type {found}; it must be {' or '.join(types)}")
        return self.metadata.get(key)


def read_gguf(path: Path) -> GgufFile:
    """The header of the file at `path`, after a check that all of its tensors lie within the file.

    Raises:
        MachineError: it is not a regular file, or not a whole GGUF file of version 2 or 3 in little endian.
    """
    try:
        if not path.is_file():  # reading a pipe would block
            raise ValueError("it is a folder" if path.is_dir() else "there is no such file")
        with path.open("rb") as file:
            if file.seek(0, 2) < 24:
                raise ValueError("it is too short for a header")
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                return _Reader(data).read(path)
    except OSError as error:
        raise unusable(path, error.strerror or type(error).__name__) from error
    except ValueError as error:
        raise unusable(path, str(error)) from error


def unusable(path: Path, what: str, mend: str = "fetch or convert it again") -> MachineError:
    """The error for a file that cannot be used."""
    return MachineError(f"{path}: not a GGUF file that this program can use ({what}); {mend}")


class _Reader:
    """Reads a header from its start; every mistake is a ValueError that says what and where."""

    def __init__(self, data: mmap) -> None:
        self._data = data
        self._at = 0
        self._end = min(len(data), _MOST_HEADER)
        self._texts = 0

    def read(self, path: Path) -> GgufFile:
        magic, version = self._bytes(4), self._u32()
        if magic != b"GGUF":
            raise ValueError(f"it begins with {magic!r}, not with b'GGUF'")
        if version & 0xFFFF == 0:
            raise ValueError("it is in big endian")
        if version not in (2, 3):
            raise ValueError(f"it has the version {version}; it must be 2 or 3")
        counts = {"tensors": self._u64(), "keys": self._u64()}
        for name, count in counts.items():
            if count > _MOST_ITEMS:
                raise ValueError(f"its number of {name} is {quoted(count)}; it must be at most {_MOST_ITEMS:,}")
        metadata: dict[str, object] = {}
        types: dict[str, str] = {}
        for _ in range(counts["keys"]):
            key = self._name("key", _LONGEST_KEY, metadata)
            types[key], metadata[key] = self._value(key)
        file = GgufFile(path, metadata, (), types)
        tensors = self._tensors(counts["tensors"], _alignment(file))
        return GgufFile(path, metadata, tensors, types)

    def _value(self, key: str) -> tuple[str, object]:
        code = self._u32()
        if code == STRING:
            return "str", self._strings(1)[0]
        if code in VALUES:
            name, numbers = self._numbers(code, 1, key)
            number = numbers.item()
            return name, bool(number) if name == "bool" else number
        if code != ARRAY:
            raise ValueError(f"{quoted(key)} has the type {code}, which GGUF does not define")
        code, count = self._u32(), self._u64()
        if code == STRING:
            return "[str]", tuple(self._strings(count))
        if code not in VALUES:
            raise ValueError(f"{quoted(key)} is an array of the type {code}, which is not supported")
        name, numbers = self._numbers(code, count, key)
        return f"[{name}]", numbers

    def _numbers(self, code: int, count: int, key: str) -> tuple[str, "np.ndarray[Any, Any]"]:
        name, form = VALUES[code]
        import numpy as np  # as in token_layout.py

        numbers = np.frombuffer(self._bytes(count * int(form[-1])), form)
        if name == "bool" and count and numbers.max() > 1:
            raise ValueError(f"{quoted(key)} has a boolean that is neither 0 nor 1")
        return name, numbers

    def _strings(self, count: int) -> list[str]:
        """Texts, each after its length: the loop that takes most of the time, so it calls nothing of this class."""
        data, at, end, unpack = self._data, self._at, self._end, _U64.unpack_from
        self._texts += count
        if self._texts > _MOST_TEXTS:
            raise ValueError(f"its arrays have more than {_MOST_TEXTS:,} texts")
        found = []
        for _ in range(count):
            start = at + 8
            if start > end:
                raise self._short()
            after = start + unpack(data, at)[0]
            if after > end:
                raise self._short()
            try:
                found.append(data[start:after].decode())
            except UnicodeDecodeError:
                raise ValueError(f"the text at byte {start:,} is not UTF-8") from None
            at = after
        self._at = at
        return found

    def _name(self, kind: str, longest: int, known: Mapping[str, object]) -> str:
        """A key or a tensor's name; llama.cpp compares them up to a NUL."""
        start = self._at
        size = self._u64()
        if not 1 <= size <= longest:
            raise ValueError(
                f"the length of the {kind} at byte {start:,} is {quoted(size)}; it must be 1 to {longest:,}"
            )
        raw = self._bytes(size)
        name = raw.decode("ascii", "replace")
        if not raw.isascii() or not name.isprintable():
            raise ValueError(f"the {kind} {quoted(name)} at byte {start:,} has characters other than ASCII")
        if name in known:
            raise ValueError(f"the {kind} {quoted(name)} is there twice")
        return name

    def _tensors(self, count: int, alignment: int) -> tuple[GgufTensor, ...]:
        found: dict[str, tuple[str, tuple[int, ...], int, int]] = {}
        for _ in range(count):
            name = self._name("tensor", _LONGEST_NAME, found)
            found[name] = self._tensor(name)
        start = self._at + -self._at % alignment
        tensors, after = [], 0
        for name, (kind, shape, offset, size) in found.items():
            if offset != after:
                raise ValueError(
                    f"the tensor {quoted(name)} begins at {quoted(offset)}, but the one before it ends at {after:,}"
                )
            if start + offset + size > len(self._data):
                raise ValueError(
                    f"the tensor {quoted(name)} ends at byte {start + offset + size:,}, but the file has "
                    f"{len(self._data):,} bytes"
                )
            tensors.append(GgufTensor(name, kind, shape, start + offset, size))
            after += size + -size % alignment
        return tuple(tensors)

    def _tensor(self, name: str) -> tuple[str, tuple[int, ...], int, int]:
        dimensions = self._u32()
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise ValueError(
                f"the tensor {quoted(name)} has {quoted(dimensions)} dimensions; it must have 1 to {_MOST_DIMENSIONS}"
            )
        shape = tuple(self._u64() for _ in range(dimensions))
        code, offset = self._u32(), self._u64()
        if code not in TENSORS:
            raise ValueError(f"the tensor {quoted(name)} has the type {code}, which this program does not know")
        kind, values, size = TENSORS[code]
        if not all(shape):
            raise ValueError(f"the tensor {quoted(name)} has a dimension of 0")
        if shape[0] % values:
            raise ValueError(
                f"the row length of the tensor {quoted(name)} is {quoted(shape[0])}; {kind} needs a multiple "
                f"of {values}"
            )
        size *= prod(shape) // values
        if size > len(self._data):
            raise ValueError(f"the tensor {quoted(name)} is larger than the file")
        return kind, shape, offset, size

    def _u32(self) -> int:
        return int(_U32.unpack(self._bytes(4))[0])

    def _u64(self) -> int:
        return int(_U64.unpack(self._bytes(8))[0])

    def _bytes(self, size: int) -> bytes:
        if size > self._end - self._at:
            raise self._short()
        self._at += size
        return self._data[self._at - size : self._at]

    def _short(self) -> ValueError:
        if self._end < len(self._data):
            return ValueError(f"its header takes more than {_MOST_HEADER:,} bytes")
        return ValueError("it ends within its header")


def _alignment(file: GgufFile) -> int:
    alignment = file.value("general.alignment", "u32")
    if alignment is None:
        return _ALIGNMENT
    if not _ALIGNMENT <= alignment <= _MOST_ALIGNMENT or alignment & (alignment - 1):
        raise ValueError(
            f"general.alignment is {alignment}; it must be a power of 2 from {_ALIGNMENT} to {_MOST_ALIGNMENT}"
        )
    return int(alignment)
