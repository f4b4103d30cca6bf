"""Numbers of 4 bits as those of 16 bits that they stand for, in a GPU's registers: a few lines of PTX."""

from collections.abc import Sequence

import torch

#: The levels of nf4, as bitsandbytes has them: quantiles of the normal distribution (Dettmers et al., QLoRA, 2023).
#: Written down here, since whoever compiles beside the imports must not import what others are importing.
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


def unpacking(levels: Sequence[float], dtype: torch.dtype) -> str:
    """PTX from four bytes ($4) to the levels of their upper ($0, $1) and lower halves ($2, $3), two to a register.

    `levels` are the sixteen that a number may stand for, `dtype` float16 or bfloat16.

    `prmt` picks four bytes of eight by the lower three bits of as many numbers. Of sixteen levels of two bytes each,
    that is done four times: for their high and low bytes, and for the first and the last eight levels; the numbers'
    fourth bits choose between these. Read from a table in memory, products took a third longer.
    """
    numbers = torch.tensor(levels, dtype=dtype).view(torch.int16).numpy().view("<u2")
    bytes_of = {"low": (numbers & 0xFF).astype("u1"), "high": (numbers >> 8).astype("u1")}
    tables = {name: [f"{word:#010x}" for word in table.view("<u4")] for name, table in bytes_of.items()}
    lines = ["{", ".reg .b32 which, last, first8, last8, pick, low, high;"]
    for half in range(2):  # two bytes, which are four numbers
        lines += [
            f"shr.u32 which, $4, {16 * half};",
            "shr.u32 last, which, 3;",
            "and.b32 which, which, 0x7777;",
            "and.b32 last, last, 0x1111;",
            "prmt.b32 pick, 0xFF00, 0, last;",  # all ones in the bytes of those that are one of the last eight
        ]
        for name, (a, b, c, d) in tables.items():
            lines += [
                f"prmt.b32 first8, {a}, {b}, which;",
                f"prmt.b32 last8, {c}, {d}, which;",
                f"lop3.b32 {name}, pick, last8, first8, 0xCA;",  # pick ? last8 : first8, bit by bit
            ]
        # Of four numbers, the lower halves of the bytes have the first place and the third.
        lines += [f"prmt.b32 ${half}, low, high, 0x7351;", f"prmt.b32 ${2 + half}, low, high, 0x6240;"]
    return "\n".join([*lines, "}"])
