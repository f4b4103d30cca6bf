"""Reads the arrays of an npz file as `numpy.savez` writes it, in a quarter of the time that zipfile and numpy take.

A book of a million words has 28,000 takes, each of which is read at every start. Files that are zipped in another way
or hold other arrays are read by zipfile and numpy.
"""

import io
import struct
import zipfile
import zlib
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The records of a zip file (PKWARE's APPNOTE, 4.3): end of the directory, an entry of it, and a file's header.
_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_HEAD = struct.Struct("<4s5H3I2H")
_MAGIC = b"\x93NUMPY\x01\x00"


def read_arrays(data: bytes, largest: int) -> "dict[str, NDArray[Any]]":
    """The arrays by their names, read-only, with their checksums checked. Nothing is unpickled.

    Raises:
        ValueError, zipfile.BadZipFile, …: it is not an npz file, it is damaged, or it unpacks to more than `largest`
            bytes.
    """
    members = _stored(data)
    if members is None:
        members = _unzipped(data, largest)
    return {name.removesuffix(".npy"): _array(content) for name, content in members.items()}


def _stored(data: bytes) -> dict[str, memoryview] | None:
    """The files of an archive that stores all of them uncompressed; None for any other archive."""
    end = len(data) - _END.size
    if end < 0:
        return None
    mark, disk, first_disk, _, count, size, start, comment = _END.unpack_from(data, end)
    if mark != b"PK\5\6" or disk or first_disk or comment or start + size != end:
        return None
    view, members, at, total = memoryview(data), {}, start, 0
    for _ in range(count):
        if at + _ENTRY.size > end:
            return None
        entry = _ENTRY.unpack_from(data, at)
        mark, flags, method, crc, packed, length = entry[0], entry[3], entry[4], entry[7], entry[8], entry[9]
        name_length, offset = entry[10], entry[16]
        name = data[at + _ENTRY.size : at + _ENTRY.size + name_length]
        if mark != b"PK\1\2" or flags or method or packed != length or offset + _HEAD.size > start:
            return None
        head = _HEAD.unpack_from(data, offset)
        begin = offset + _HEAD.size + head[9] + head[10]
        own = data[offset + _HEAD.size : offset + _HEAD.size + head[9]]
        if head[0] != b"PK\3\4" or own != name or not name.isascii() or begin + length > start:
            return None
        # Entries that name one file again and again would cost a checksum each.
        total += length
        if name.decode() in members or total > start:
            raise zipfile.BadZipFile(f"file {name.decode()!r} is there twice, or in another one")
        content = view[begin : begin + length]
        if zlib.crc32(content) != crc:
            raise zipfile.BadZipFile(f"bad CRC-32 for file {name.decode()!r}")
        members[name.decode()] = content
        at += _ENTRY.size + sum(entry[10:13])
    return members


def _unzipped(data: bytes, largest: int) -> dict[str, memoryview]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if len(set(names)) < len(names):
            raise zipfile.BadZipFile("a file is there twice")
        if sum(entry.file_size for entry in archive.infolist()) > largest:
            raise ValueError("too large when unpacked")
        return {name: memoryview(archive.read(name)) for name in names}


def _array(content: memoryview) -> "NDArray[Any]":
    import numpy as np  # not at the top: a book without takes needs none, and it takes a fifth of the program's start

    if content[:8] != _MAGIC:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    begin = 10 + int.from_bytes(content[8:10], "little")
    dtype, fortran, shape = _header(bytes(content[8:begin]))
    if dtype.hasobject or any(length < 0 for length in shape):
        raise ValueError("not an array of plain numbers or text")
    flat = np.frombuffer(content, dtype, prod(shape), begin)
    return flat.reshape(shape, order="F" if fortran else "C")


@lru_cache(maxsize=4096)
def _header(header: bytes) -> "tuple[np.dtype[Any], bool, tuple[int, ...]]":
    """Type, order and shape of an array. Cached: takes have some hundreds of lengths."""
    import numpy as np

    shape, fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(header))
    return dtype, fortran, shape
