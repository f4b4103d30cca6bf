"""The PTX that unpacks 4-bit weights, interpreted. The product itself is tested on a GPU, in tests/gpu."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from bitsandbytes.functional import get_4bit_type

import maya_batch.engine.kernels


@pytest.fixture(scope="module")
def nf4_matmul() -> Iterator[ModuleType]:
    """The module, with a stand-in for Triton where PyTorch came without it."""
    name = "maya_batch.engine.kernels.nf4_matmul"
    if find_spec("triton"):
        yield import_module(name)
        return

    def jit(**options: object) -> Callable[[Any], Any]:
        return lambda kernel: kernel

    language = SimpleNamespace(constexpr=object)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton", SimpleNamespace(jit=jit, language=language))
        patch.setitem(sys.modules, "triton.language", language)
        yield import_module(name)
    del sys.modules[name]
    vars(maya_batch.engine.kernels).pop("nf4_matmul")


def run(ptx: str, word: int, table: list[int]) -> list[int]:
    """What the PTX leaves in $0 to $3, by the definition of its instructions."""
    held = {f"${at}": given for at, given in enumerate([word, *table], 4)}

    def value(name: str) -> int:
        return held[name] if name in held else int(name, 0)

    for line in ptx.splitlines()[2:-1]:
        match = re.fullmatch(r"(\w+)\.[bu]32 (.+);", line)
        assert match is not None, line
        target, *names = match[2].split(", ")
        a, b, *rest = (value(name) for name in names)
        if match[1] == "shr":
            made = a >> b
        elif match[1] == "and":
            made = a & b
        elif match[1] == "prmt":
            selector = rest[0]
            picks = [(selector >> 4 * at) & 0xF for at in range(4)]
            assert max(picks) < 8  # the fourth bit would copy a sign
            pool = (a | b << 32).to_bytes(8, "little")
            made = int.from_bytes(bytes(pool[pick] for pick in picks), "little")
        else:
            assert (match[1], rest[1]) == ("lop3", 0xCA)
            made = (a & b) | (~a & rest[0])
        held[target] = made & 0xFFFFFFFF
    return [held[f"${at}"] for at in range(4)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_every_byte_becomes_its_two_levels(kind: str, dtype: torch.dtype, nf4_matmul: ModuleType) -> None:
    levels = get_4bit_type(kind, "cpu").to(dtype)
    table = [word & 0xFFFFFFFF for word in nf4_matmul.table_of(levels.tolist(), dtype).tolist()]
    for first in range(256):
        four = [first, (first + 85) % 256, 255 - first, first ^ 0x5A]
        made = run(nf4_matmul.UNPACKING, int.from_bytes(bytes(four), "little"), table)
        numbers = torch.tensor(made, dtype=torch.int64).to(torch.int32).view(torch.int16).view(dtype)
        assert torch.equal(numbers, levels[[half for byte in four for half in (byte >> 4, byte & 15)]])
