"""Draws a token of each sequence: one GPU kernel, in Triton, for all that PyTorch does in some 30 for each step.

Top-p wants the most probable codes, and the drawn number is a place among them in that order. Nothing is sorted: the
probability at a place is found by halving the range of all probabilities until the sum of those above it says where the
place is. Positive floats are in the order of their bits, so 30 halvings find it exactly.
"""

import torch
import triton
import triton.language as tl

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Sampling

#: The bits of 1.0 in float32, the largest weight.
_ONE = tl.constexpr(0x3F800000)

#: As many as halve the range from 0 to the bits of 1.0 to one number.
_HALVINGS = tl.constexpr(30)


@triton.jit
def _sum_from(bits, weights, eos_bits, eos_weight, least):
    """The sum of the weights whose bits are at least these."""
    return tl.sum(tl.where(bits >= least, weights, 0.0), 0) + tl.where(eos_bits >= least, eos_weight, 0.0)


@triton.jit
def _find(bits, weights, eos_bits, eos_weight, place, low, inclusive: tl.constexpr):
    """The bits of the weight at a place in the descending order: the largest whose sum is more than the place, or with
    `inclusive` as much. It is at least `low`.
    """
    high = tl.full([], _ONE, tl.int32)
    for _ in range(_HALVINGS):
        middle = low + (high - low + 1) // 2
        total = _sum_from(bits, weights, eos_bits, eos_weight, middle)
        enough = total >= place if inclusive else total > place
        low, high = tl.where(enough, middle, low), tl.where(enough, high, middle - 1)
    return low


@triton.jit(do_not_specialize=["sequences", "columns", "numbers", "code_frames", "slot", "first_id"])
def _draw(
    logits,
    status,
    max_frames,
    min_frames,
    stop_after,
    uniform,
    drawn,
    codes,
    token,
    position,
    sequences,
    columns,
    numbers,
    code_frames,
    slot,
    first_id,
    temperature,
    top_p,
    penalty,
    slots: tl.constexpr,
    size: tl.constexpr,
    block: tl.constexpr,
    offers_eos: tl.constexpr,
    penalizes: tl.constexpr,
    greedy: tl.constexpr,
):
    """Draw and store the token of one sequence. `first_id` is the id of the slot's first code."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, block)
    inside = at < size
    live, ended, non_finite = status + sequences, status + 2 * sequences, status + 3 * sequences
    frame, runs = tl.load(status + row), tl.load(live + row)
    scores = tl.load(logits + row * columns + at, mask=inside, other=0.0).to(tl.float32)
    total = tl.sum(scores, 0)
    eos = tl.full([], float("-inf"), tl.float32)
    if offers_eos:
        eos = tl.load(logits + row * columns + size).to(tl.float32)
        total += eos
        eos = tl.where(frame < tl.load(min_frames + row), float("-inf"), eos)
    # Neither infinity nor NaN minus itself is 0.
    tl.store(non_finite + row, tl.load(non_finite + row) | tl.where(total - total == 0.0, 0, runs))
    if penalizes:
        again = tl.load(drawn + row * size + at, mask=inside, other=0) != 0
        scores = tl.where(again, tl.where(scores > 0, scores / penalty, scores * penalty), scores)
    scores = tl.where(inside, scores, float("-inf"))
    most = tl.maximum(tl.max(scores, 0), eos)
    if greedy:
        # The first of the largest; EOS is the last.
        picked = tl.min(tl.where(scores == most, at, size), 0)
    else:
        weights = tl.exp((scores - most) / temperature)
        eos_weight = tl.exp((eos - most) / temperature)
        bits, eos_bits = weights.to(tl.int32, bitcast=True), eos_weight.to(tl.int32, bitcast=True)
        nothing = tl.full([], 0, tl.int32)
        kept = top_p * _sum_from(bits, weights, eos_bits, eos_weight, nothing)
        least = _find(bits, weights, eos_bits, eos_weight, kept, nothing, True)
        above = _sum_from(bits, weights, eos_bits, eos_weight, least + 1)
        least_weight = tl.maximum(least.to(tl.float32, bitcast=True), 1e-38)
        # Of equal weights, as many are kept as are needed.
        equals = tl.sum((bits == least).to(tl.int32), 0) + (eos_bits == least).to(tl.int32)
        needed = tl.minimum(tl.maximum(tl.ceil((kept - above) / least_weight).to(tl.int32), 1), equals)
        place = tl.load(uniform + row * numbers + frame * slots + slot) * (above + needed * least_weight)
        found = _find(bits, weights, eos_bits, eos_weight, place, least, False)
        above = _sum_from(bits, weights, eos_bits, eos_weight, found + 1)
        same = bits == found
        equals = tl.where(found == least, needed, tl.sum(same.to(tl.int32), 0) + (eos_bits == found).to(tl.int32))
        number = ((place - above) / tl.maximum(found.to(tl.float32, bitcast=True), 1e-38)).to(tl.int32)
        number = tl.minimum(tl.maximum(number, 0), equals - 1)
        # Equal weights are in the order of their columns; EOS is the last.
        rank = tl.cumsum(same.to(tl.int32), 0)
        picked = tl.min(tl.where(same & (rank == number + 1), at, size), 0)
    if offers_eos:
        ends = (picked == size) | (tl.load(stop_after + row) <= frame)
        tl.store(ended + row, tl.load(ended + row) | tl.where(ends, runs, 0))
        runs = tl.where(ends | (frame >= tl.load(max_frames + row)), 0, runs)
        tl.store(live + row, runs)
    picked = tl.minimum(picked, size - 1)
    if penalizes:
        tl.store(drawn + row * size + picked, tl.full([], 1, tl.int8))
    tl.store(codes + (row * code_frames + frame) * slots + slot, picked)
    tl.store(token + row, (picked + first_id).to(tl.int64))
    tl.store(position + row, (tl.load(position + row) + 1) * runs)


def draw_tokens(
    logits: torch.Tensor,
    slot: int,
    size: int,
    first_id: int,
    status: torch.Tensor,
    limits: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    uniform: torch.Tensor,
    drawn: torch.Tensor,
    codes: torch.Tensor,
    token: torch.Tensor,
    position: torch.Tensor,
    sampling: Sampling,
) -> None:
    """Draw a token of this slot for the first sequences, and change the rest in place, as `SequenceState.sample` does.

    `logits` are [sequences, codebook], in the first slot [sequences, codebook + 1] with EOS last; `size` is that of the
    codebook, `first_id` the id of the slot's first code. `status` [4, all sequences] and the `limits` [all sequences],
    the most frames, those before EOS and those after which it is forced, are int32, `uniform` [all sequences, tokens]
    float32, `drawn` [all sequences, codebook] bool, `codes` [all sequences, frames, slots] int32, `token` and
    `position` [all sequences] int64.
    """
    _draw[(len(logits),)](
        *(logits, status, *limits, uniform, drawn.view(torch.int8), codes, token, position),
        *(status.shape[1], logits.stride(0), uniform.shape[1], codes.shape[1], slot, first_id),
        *(sampling.temperature, sampling.top_p, sampling.repetition_penalty),
        slots=codes.shape[2],
        size=size,
        block=triton.next_power_of_2(size),
        offers_eos=slot == 0,
        penalizes=drawn.shape[1] > 0,
        greedy=sampling.temperature == 0,
        num_warps=8,
    )


def compile_for(dtype: torch.dtype, device: torch.device) -> None:
    """Compile the kernel for Maya1's codes and the default sampling by running it once; errors are raised."""
    layout = TokenLayout()
    size = layout.codebook_size

    def zeros(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype, device=device)

    for slot in (0, 1):  # the first one also offers EOS
        draw_tokens(
            zeros(1, size + (slot == 0), dtype=dtype),
            *(slot, size, layout.slot_start(slot)),
            *(zeros(4, 1), (zeros(1), zeros(1), zeros(1)), zeros(1, SLOTS, dtype=torch.float32)),
            *(zeros(1, size, dtype=torch.bool), zeros(1, 1, SLOTS)),
            *(zeros(1, dtype=torch.int64), zeros(1, dtype=torch.int64)),
            Sampling(),
        )
    torch.cuda.synchronize(device)
