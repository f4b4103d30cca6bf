"""What the 4-bit product does besides multiplying, which is tested on a GPU, in tests/gpu."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import get_4bit_type

from maya_batch.engine.kernels import nf4_matmul
from maya_batch.engine.kernels.int8_tokens import COUNTS
from maya_batch.engine.kernels.nf4_matmul import magnitudes, shape_for

#: The kernel's unpacking on a CPU, for all 16-bit halves of a word. prmt is as its definition says.
PROGRAM = """
#include <cstdio>
#include <cstdlib>
#define DEVICE static inline

static unsigned prmt(unsigned low, unsigned high, unsigned selector) {
  unsigned char pool[8];
  for (int at = 0; at < 4; at++) pool[at] = low >> 8 * at, pool[4 + at] = high >> 8 * at;
  unsigned picked = 0;
  for (int at = 0; at < 4; at++) {
    unsigned four = selector >> 4 * at & 15, byte = pool[four & 7];
    picked |= (four & 8 ? (byte & 0x80 ? 0xFFu : 0u) : byte) << 8 * at;
  }
  return picked;
}

#include SOURCE

int main(int count, char** words) {
  Magnitudes of;
  for (int at = 0; at < 4; at++) (at < 2 ? of.negative : of.positive)[at % 2] = strtol(words[1 + at], 0, 10);
  for (unsigned half = 0; half < 65536; half++) {
    unsigned bytes = unpacked(half | 0xC35A0000u, of);
    fwrite(&bytes, 4, 1, stdout);
  }
}
"""


@pytest.fixture(scope="module")
def levels() -> torch.Tensor:
    table: torch.Tensor = get_4bit_type("nf4", "cpu")
    return table


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_every_number_becomes_its_level_in_8_bits(levels: torch.Tensor, tmp_path: Path) -> None:
    source, program = tmp_path / "unpacking.cpp", tmp_path / "unpacking"
    source.write_text(PROGRAM, encoding="utf-8")
    kernel = Path(nf4_matmul.__file__).with_suffix(".cu")
    subprocess.run(["g++", f'-DSOURCE="{kernel}"', "-o", str(program), str(source)], check=True)
    made = subprocess.run([program, *map(str, magnitudes(levels.tolist()))], capture_output=True, check=True).stdout
    halves = torch.arange(65536)
    numbers = torch.stack([halves >> 4 * at & 15 for at in range(4)], dim=-1)
    assert torch.equal(
        torch.frombuffer(bytearray(made), dtype=torch.int8).view(-1, 4), (levels[numbers] * 127).round().to(torch.int8)
    )


def test_levels_that_are_not_those_of_nf4_are_refused(levels: torch.Tensor) -> None:
    assert magnitudes(levels.tolist())[1] == int.from_bytes(bytes([36, 23, 12, 0]), "little")
    with pytest.raises(ValueError, match="not the levels of nf4"):
        magnitudes(get_4bit_type("fp4", "cpu").tolist())


#: Multiprocessors, and the shared memory of a block and of a multiprocessor: an H200, an A100 and an RTX 4060.
CARDS = {"H200": (132, 232448, 233472), "A100": (108, 166912, 167936), "RTX 4060": (24, 101376, 102400)}


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("rows", [64, 3072, 5120, 16384, 128256])
@pytest.mark.parametrize("tokens", COUNTS)
def test_a_block_fits_the_card_and_divides_the_rows(card: str, rows: int, tokens: int) -> None:
    shape = shape_for(rows, tokens, *CARDS[card])
    assert shape.shared_bytes(tokens) <= CARDS[card][1]
    assert rows % shape.rows == 0
    # What one unit of each split is multiplied from and what is loaded meanwhile.
    assert shape.stages >= 2 * shape.splits
    assert shape.threads in (128, 256)


def test_few_rows_are_shared_among_more_blocks() -> None:
    few, many = (shape_for(rows, 48, *CARDS["H200"]) for rows in (3072, 16384))
    assert (few.rows, few.splits, few.stages) == (32, 4, 8)
    assert (many.rows, many.splits, many.stages) == (64, 1, 3)
    assert shape_for(3072, 48, *CARDS["RTX 4060"]).rows == 64
