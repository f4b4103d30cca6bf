"""A GGUF file is anybody's: what is not a whole one is refused in one line, within bounded time and memory."""

import os
import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maya_batch.checkpoint.gguf_config import read_gguf_config
from maya_batch.checkpoint.gguf_file import GgufFile, read_gguf
from maya_batch.checkpoint.gguf_types import TENSORS
from maya_batch.errors import MachineError
from tests.support import gguf_files
from tests.support.gguf_files import Gguf, Tensor, Value, random_llama, text

LLAMA = random_llama(layers=1, width=8, heads=2, kv_heads=1, inner=8, count=300)
WHOLE = LLAMA.bytes()

#: A small file with a value of each type.
SMALL = Gguf(
    {
        "a.u8": ("u8", 255),
        "a.i8": ("i8", -128),
        "a.u16": ("u16", 65535),
        "a.i16": ("i16", -1),
        "a.u32": ("u32", 2**32 - 1),
        "a.i32": ("i32", -5),
        "a.f32": ("f32", 0.5),
        "a.true": ("bool", True),
        "a.text": ("str", "Ġword\x1b[2J"),
        "a.u64": ("u64", 2**64 - 1),
        "a.i64": ("i64", -(2**63)),
        "a.f64": ("f64", 1e300),
        "a.texts": ("[str]", ["", "é"]),
        "a.ids": ("[i32]", [1, -2, 3]),
        "a.flags": ("[bool]", [True, False]),
        "a.nothing": ("[f32]", []),
    },
    {"one": Tensor((3, 5), "F16"), "two": Tensor((256, 2, 2), "Q4_K"), "three": Tensor((1,))},
)


def read(path: Path, content: bytes) -> GgufFile:
    path.write_bytes(content)
    return read_gguf(path)


def refused(path: Path) -> str:
    """What is said about a file that is refused."""
    with pytest.raises(MachineError) as raised:
        read_gguf(path)
    (line,) = raised.value.lines()
    start, end = f"{path}: not a GGUF file that this program can use (", "); fetch or convert it again"
    assert line.startswith(start)
    assert line.endswith(end)
    said = line.removeprefix(start).removesuffix(end)
    assert said.isprintable()
    assert len(said) < 250
    return said


def refused_bytes(folder: Path, content: bytes) -> str:
    (folder / "x.gguf").write_bytes(content)
    return refused(folder / "x.gguf")


# --- what is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_values_of_each_type_are_read_with_their_types(version: int, tmp_path: Path) -> None:
    file = read_gguf(replace(SMALL, version=version).write(tmp_path / "x.gguf"))
    assert file.path == tmp_path / "x.gguf"
    assert file.types == {key: kind for key, (kind, _) in SMALL.metadata.items()}
    for key, (kind, written) in SMALL.metadata.items():
        found = file.metadata[key]
        if kind == "[str]":
            assert found == tuple(written)
        elif kind.startswith("["):
            assert isinstance(found, np.ndarray)
            assert found.tolist() == written
        else:
            assert found == written
            assert type(found) is type(written)


def test_tensors_are_read_with_their_places(tmp_path: Path) -> None:
    file = read_gguf(SMALL.write(tmp_path / "x.gguf"))
    one, two, three = file.tensors
    start = one.offset
    assert start % 32 == 0
    assert (one.name, one.type, one.shape, one.size) == ("one", "F16", (3, 5), 30)
    assert (two.name, two.type, two.shape, two.offset, two.size) == ("two", "Q4_K", (256, 2, 2), start + 32, 4 * 144)
    assert (three.type, three.shape, three.offset, three.size) == ("F32", (1,), start + 32 + 576, 4)


def test_the_last_tensor_may_end_without_padding_and_the_file_may_go_on(tmp_path: Path) -> None:
    content = SMALL.bytes()
    assert read(tmp_path / "x.gguf", content[:-28]).tensors == read(tmp_path / "x.gguf", content + b"more").tensors


@pytest.mark.parametrize("name", gguf_files.TENSORS)
def test_the_size_of_each_type_of_tensor(name: str, tmp_path: Path) -> None:
    tensor = Tensor((512, 3), name)
    (found,) = read_gguf(Gguf({}, {"one": tensor}).write(tmp_path / "x.gguf")).tensors
    assert (found.type, found.size) == (name, tensor.size())


def test_the_types_of_tensors_are_those_of_the_gguf_package() -> None:
    gguf = pytest.importorskip("gguf")
    theirs = {kind.value: (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType}
    for code, ours in TENSORS.items():
        assert theirs[code] == ours


def test_a_value_is_asked_for_by_its_type(tmp_path: Path) -> None:
    file = read_gguf(SMALL.write(tmp_path / "x.gguf"))
    assert file.value("a.u32", "u32") == 2**32 - 1
    assert file.value("none", "u32") is None
    with pytest.raises(ValueError, match=r"^a.u32 is of the type u32; it must be str or \[i32\]$"):
        file.value("a.u32", "str", "[i32]")


# --- what is refused ---------------------------------------------------------------------------------------------


def test_not_a_regular_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.gguf") == "there is no such file"
    assert refused(tmp_path) == "it is a folder"
    os.mkfifo(tmp_path / "pipe.gguf")
    assert refused(tmp_path / "pipe.gguf") == "there is no such file"
    (tmp_path / "loop.gguf").symlink_to("loop.gguf")
    assert refused(tmp_path / "loop.gguf")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = SMALL.write(tmp_path / "x.gguf")
    path.chmod(0)
    assert refused(path) == "Permission denied"


def header(tensors: int, keys: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


def key(name: str | bytes, code: int, rest: bytes = b"") -> bytes:
    return header(0, 1, text(name) + struct.pack("<I", code) + rest)


def tensor(shape: tuple[int, ...], kind: str | int = "F32", **more: int) -> bytes:
    return Gguf({}, {"one": Tensor(shape, kind, b"\0" * 64, **more)}).bytes()


HUGE = 2**63 + 5


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is too short for a header"),
        (b"GGUF", "it is too short for a header"),
        (b"version https://git-lfs.github.com/spec/v1", "it begins with b'vers', not with b'GGUF'"),
        (b"\x1b[2J" + bytes(30), r"it begins with b'\x1b[2J', not with b'GGUF'"),
        (header(0, 0, version=0x03000000), "it is in big endian"),
        (header(0, 0, version=1), "it has the version 1; it must be 2 or 3"),
        (header(0, 0, version=4), "it has the version 4; it must be 2 or 3"),
        (header(2**64 - 1, 0), "its number of tensors is a huge number; it must be at most 65,536"),
        (header(0, 70000), "its number of keys is 70000; it must be at most 65,536"),
        (header(0, 1), "it ends within its header"),
        (header(1, 0), "it ends within its header"),
        (key("", 4), "the length of the key at byte 24 is 0; it must be 1 to 65,535"),
        (
            header(0, 1, struct.pack("<Q", 2**64 - 1)),
            "the length of the key at byte 24 is a huge number; it must be 1 to 65,535",
        ),
        (key("a\0b", 4, bytes(4)), r"the key 'a\x00b' at byte 24 has characters other than ASCII"),
        (key("é", 4, bytes(4)), "at byte 24 has characters other than ASCII"),
        (key("a", 13), "'a' has the type 13, which GGUF does not define"),
        (key("a", 7, b"\2"), "'a' has a boolean that is neither 0 nor 1"),
        (key("a", 9, struct.pack("<IQ", 7, 2) + b"\1\2"), "'a' has a boolean that is neither 0 nor 1"),
        (key("a", 9, struct.pack("<IQ", 9, 1) + bytes(20)), "'a' is an array of the type 9, which is not supported"),
        (key("a", 9, struct.pack("<IQ", 4, HUGE) + bytes(20)), "it ends within its header"),
        (key("a", 9, struct.pack("<IQ", 8, HUGE) + bytes(20)), "its arrays have more than 4,194,304 texts"),
        (key("a", 9, struct.pack("<IQ", 8, 2**22 - 1) + bytes(20)), "it ends within its header"),
        (key("a", 8, struct.pack("<Q", HUGE) + bytes(20)), "it ends within its header"),
        (key("a", 8, text(b"\xff")), "the text at byte 45 is not UTF-8"),
        (key("a", 8, text(b"\xed\xa0\x80")), "the text at byte 45 is not UTF-8"),
        (tensor(()), "the tensor 'one' has 0 dimensions; it must have 1 to 4"),
        (tensor((1, 1, 1, 1, 1)), "the tensor 'one' has 5 dimensions; it must have 1 to 4"),
        (tensor((4, 0)), "the tensor 'one' has a dimension of 0"),
        (tensor((2**63, 2**63, 2**63, 2**63)), "the tensor 'one' is larger than the file"),
        (tensor((2**62, 4)), "the tensor 'one' is larger than the file"),
        (tensor((16, 2)), "the tensor 'one' ends at byte 224, but the file has 160 bytes"),
        (tensor((48,), "Q4_0"), "the row length of the tensor 'one' is 48; Q4_0 needs a multiple of 32"),
        (tensor((4,), 4), "the tensor 'one' has the type 4, which this program does not know"),
        (tensor((4,), 2**32 - 1), "which this program does not know"),
        (tensor((4,), offset=32), "the tensor 'one' begins at 32, but the one before it ends at 0"),
        (tensor((4,), offset=HUGE), "the tensor 'one' begins at a huge number, but the one before it ends at 0"),
    ],
)
def test_a_broken_file_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    assert told in refused_bytes(tmp_path, content)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (Tensor((4,), offset=0), "begins at 0, but the one before it ends at 32"),
        (Tensor((4,), offset=20), "begins at 20, but the one before it ends at 32"),
        (Tensor((4,), offset=64), "begins at 64, but the one before it ends at 32"),
    ],
)
def test_tensors_lie_one_after_the_other(second: Tensor, told: str, tmp_path: Path) -> None:
    content = Gguf({}, {"one": Tensor((5,)), "two": second}).bytes()
    assert told in refused_bytes(tmp_path, content)


def test_nothing_is_there_twice(tmp_path: Path) -> None:
    assert refused_bytes(tmp_path, replace(SMALL, twice="a.u8").bytes()) == "the key 'a.u8' is there twice"
    assert refused_bytes(tmp_path, replace(SMALL, twice="two").bytes()) == "the tensor 'two' is there twice"


@pytest.mark.parametrize("name", ["x" * 64, "a\0", "\x1b[2J", "é", "\u202e"])
def test_a_name_of_a_tensor_that_llama_cpp_does_not_take(name: str, tmp_path: Path) -> None:
    assert "the tensor " in refused_bytes(tmp_path, Gguf({}, {name: Tensor((4,))}).bytes())


@pytest.mark.parametrize(
    ("alignment", "told"),
    [
        (("u32", 0), "general.alignment is 0; it must be a power of 2 from 32 to 65536"),
        (("u32", 8), "general.alignment is 8"),
        (("u32", 48), "general.alignment is 48"),
        (("u32", 2**31), "general.alignment is 2147483648"),
        (("u64", 32), "general.alignment is of the type u64; it must be u32"),
        (("[u32]", [32]), "general.alignment is of the type [u32]; it must be u32"),
    ],
)
def test_the_alignment_is_one_that_llama_cpp_maps(alignment: Value, told: str, tmp_path: Path) -> None:
    assert told in refused_bytes(tmp_path, SMALL.changed({"general.alignment": alignment}).bytes())


def test_a_larger_alignment(tmp_path: Path) -> None:
    larger = replace(SMALL.changed({"general.alignment": ("u32", 256)}), alignment=256)
    assert [tensor.offset % 256 for tensor in read_gguf(larger.write(tmp_path / "x.gguf")).tensors] == [0, 0, 0]


def test_a_header_of_more_than_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    with path.open("wb") as file:  # a hole: it takes no room on the disk
        file.write(key("a", 8, struct.pack("<Q", 2**27)))
        file.truncate(2**28)
    assert refused(path) == "its header takes more than 134,217,728 bytes"


# --- any damage --------------------------------------------------------------------------------------------------

RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_read_or_refused(path: Path, content: bytes) -> bool:
    """Whether it is a file that this program takes; what it raises otherwise is a MachineError of one line."""
    path.write_bytes(content)
    try:
        read_gguf_config(read_gguf(path))
    except MachineError as error:
        (line,) = error.lines()
        assert line.isprintable()
        return False
    return True


def test_the_undamaged_file_is_taken(tmp_path: Path) -> None:
    assert is_read_or_refused(tmp_path / "x.gguf", WHOLE)


@RELAXED
@given(content=st.binary(max_size=200), magic=st.booleans())
def test_random_bytes(content: bytes, magic: bool, tmp_path: Path) -> None:
    start = b"GGUF\3\0\0\0" if magic else b""
    assert not is_read_or_refused(tmp_path / "x.gguf", start + content)


@RELAXED
@given(end=st.integers(0, len(WHOLE) - 32))
def test_a_file_that_ends_anywhere_is_refused(end: int, tmp_path: Path) -> None:
    assert not is_read_or_refused(tmp_path / "x.gguf", WHOLE[:end])


@RELAXED
@given(changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes(changes: list[tuple[int, int]], tmp_path: Path) -> None:
    content = bytearray(WHOLE)
    for at, byte in changes:
        content[at] = byte
    is_read_or_refused(tmp_path / "x.gguf", bytes(content))


@RELAXED
@given(at=st.integers(8, len(WHOLE) - 8), number=st.sampled_from([0, 1, 2**16, 2**22, 2**31, 2**32, 2**63, 2**64 - 1]))
def test_a_lying_size_anywhere_takes_little_memory_and_time(at: int, number: int, tmp_path: Path) -> None:
    content = WHOLE[:at] + struct.pack("<Q", number) + WHOLE[at + 8 :]
    tracemalloc.start()
    begun = time.process_time()
    try:
        is_read_or_refused(tmp_path / "x.gguf", content)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("read_all", [read_gguf, lambda path: read_gguf_config(read_gguf(path))])
@pytest.mark.timeout(60)  # two seconds where the time grows with the header, hours where it grows with its square
def test_a_header_like_maya1s_is_read(read_all: Callable[[Path], object], tmp_path: Path) -> None:
    whole = random_llama(layers=1, width=2, heads=1, kv_heads=1, inner=2, count=156_940)
    merges = [f"Ġab{number:x} cd{number:x}" for number in range(280_147)]
    path = whole.changed({"tokenizer.ggml.merges": ("[str]", merges)}).write(tmp_path / "x.gguf")
    read_all(path)
