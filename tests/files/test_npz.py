import io
import random
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from maya_batch.files.npz import read_arrays

CODES = np.arange(70, dtype=np.uint16).reshape(10, 7)
META = np.array('{"text": "Ménage — 你好"}')
LARGEST = 10**6


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_saves_is_read_as_numpy_reads_it(save: Any) -> None:
    file = io.BytesIO()
    save(file, codes=CODES, meta=META, none=np.zeros((0, 7), np.uint16), turned=np.asfortranarray(CODES))
    arrays = read_arrays(file.getvalue(), LARGEST)
    assert sorted(arrays) == ["codes", "meta", "none", "turned"]
    for name, array in np.load(io.BytesIO(file.getvalue()), allow_pickle=False).items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(arrays[name], array)
    assert arrays["meta"].item() == META.item()


def test_a_damaged_file_is_an_error_or_means_the_same() -> None:
    """One to three bytes changed, or the end missing: zipfile is asked, too, whether it notices."""
    drawn, data = random.Random(15), saved(codes=CODES, meta=META)
    noticed = 0
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(drawn.randint(1, 3)):
            damaged[drawn.randrange(len(damaged))] = drawn.randrange(256)
        whole = bytes(damaged) if drawn.random() < 0.8 else bytes(damaged[: drawn.randrange(len(damaged))])
        try:
            arrays = read_arrays(whole, LARGEST)
        except Exception:
            noticed += 1
            continue
        for name, array in (("codes", CODES), ("meta", META)):
            if name in arrays:  # the name itself may be damaged
                np.testing.assert_array_equal(arrays[name], array)
    assert noticed > 2000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"no archive at all" * 10,
        saved(codes=CODES)[:-22],
        saved(codes=np.array([print], dtype=object)),
        saved(codes=CODES).replace(b"(10, 7)", b"(-1, 7)"),
        saved(codes=CODES).replace(b"(10, 7)", b"(99, 7)"),
    ],
)
def test_what_is_no_npz_is_an_error(data: bytes) -> None:
    with pytest.raises((ValueError, zipfile.BadZipFile)):
        read_arrays(data, LARGEST)


def test_a_header_that_lies_about_its_array_is_an_error() -> None:
    """The checksum is right: whoever wrote it meant it so."""
    for shape in (b"(-1, 7)", b"(99, 7)", b"(1e9,7)"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            plain = io.BytesIO()
            np.save(plain, CODES)
            archive.writestr("codes.npy", plain.getvalue().replace(b"(10, 7)", shape))
        with pytest.raises((ValueError, TypeError)):
            read_arrays(file.getvalue(), LARGEST)


def packed(name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def plain(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def repeated(other_name: bytes, method: int) -> bytes:
    """An archive of one array, whose directory has 1,000 entries for it."""
    data = packed("a.npy", plain(CODES), method)
    start = data.index(b"PK\x01\x02")
    entry, end = data[start:-22], bytearray(data[-22:])
    entries = entry + entry.replace(b"a.npy", other_name) * 999
    end[8:16] = struct.pack("<2HI", 1000, 1000, len(entries))
    return data[:start] + entries + bytes(end)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("other_name", [b"a.npy", b"b.npy"])
def test_an_array_with_many_entries_is_refused_unread(other_name: bytes, method: int) -> None:
    with pytest.raises((ValueError, zipfile.BadZipFile)):
        read_arrays(repeated(other_name, method), 10**8)


def test_files_inside_one_another_are_refused() -> None:
    """Each of them has a right header, but together they are longer than the archive."""
    inner = packed("codes.npy", plain(CODES))
    start, end = inner.index(b"PK\x01\x02"), -22
    data = packed("outer.npy", inner[:start])
    begin = data.rindex(b"PK\x01\x02")
    entry = bytearray(inner[start:end])
    entry[42:46] = struct.pack("<I", 30 + len("outer.npy"))  # where its header is
    entries = data[begin:end] + bytes(entry)
    last = data[end:-14] + struct.pack("<2H2IH", 2, 2, len(entries), begin, 0)
    with pytest.raises(zipfile.BadZipFile, match="is there twice, or in another one"):
        read_arrays(data[:begin] + entries + last, LARGEST)


def test_what_unpacks_to_too_much_is_not_unpacked() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, codes=np.zeros((10**6, 7), np.uint16))
    assert len(file.getvalue()) < 10**5
    with pytest.raises(ValueError, match="too large"):
        read_arrays(file.getvalue(), LARGEST)
