"""How large a batch the memory holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from maya_batch.audio.decode_window import BYTES_A_SAMPLE, CLIP_BYTES_A_SAMPLE, CONTEXT, window_frames
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.admission import Forecast
from maya_batch.engine.kernels.llama_layers import Llama
from maya_batch.engine.paged_cache import PAGE

#: Rows spoken together where nothing else was asked for. On a GPU the products of a step are bound by arithmetic from
#: about 256 rows on; on two CPU cores sixteen rows gave most of what more rows would.
ROWS = {"cpu": 16, "cuda": 512}

#: Prompt tokens that go through the model together on a GPU: enough to fill it, and little memory.
PROMPT_TOKENS = 2048

#: Row counts that a frame is made for. Multiples of 8 also keep a CPU's products the same to the bit, whatever the
#: count: of fewer rows, some kernels sum in another order.
_BUCKETS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512)

#: Positions that plain attention looks at are a multiple of this: over other numbers, a CPU's products sum the last
#: positions in another order, and how many there are depends on the longest row.
_STRIDE = 16

#: Frames a row may count beyond its cap before the host has seen that it is over.
_UNSEEN = 4

#: Bytes that drawing takes for a column of a row: scores, probabilities, their order and sums, and copies of them.
_DRAW_BYTES_A_COLUMN = 48

#: cuBLAS's workspaces, and what the allocator cannot use for want of fitting pieces.
_SLACK = 160 * 2**20

#: Captured graphs lie outside PyTorch's memory: about 20 MB each were seen, one for each bucket.
_GRAPHS = 300 * 2**20

#: Room for rows that become longer than expected, and for long ones that meet.
_MARGIN = 1.25

#: What of the memory that may be had is left to others, and to what no plan foresees.
_LEFT = 0.04


@dataclass(frozen=True)
class Budget:
    """What a batch may have: `rows` at most, of `positions` each at most, in `pages` of `page_size` (0: one a row)."""

    rows: int
    positions: int
    pages: int
    page_size: int

    @property
    def places(self) -> int:
        """The places that the largest batch has."""
        return bucket(self.rows)


def bucket(rows: int) -> int:
    """The places that a frame of so many rows has."""
    return next((size for size in _BUCKETS if size >= rows), -(-rows // 128) * 128)


def whole_stride(positions: int) -> int:
    """So many positions, and those that fill up the last stride."""
    return -(-positions // _STRIDE) * _STRIDE


@dataclass(frozen=True)
class Need:
    """What a row may come to: its prompt in tokens, its speech in frames."""

    prompt: int
    max_frames: int
    expected_frames: int

    @property
    def most(self) -> int:
        """Positions it may take."""
        return self.prompt + (self.max_frames + _UNSEEN) * SLOTS


def plan_budget(llama: Llama, layout: TokenLayout, needs: Sequence[Need], rows: int, paged: bool) -> Budget:
    """The batch for rows of these needs, `rows` together at most.

    In pages, it gets what the first rows will likely take or, where the GPU does not hold that, what is there: rows
    are let in as others end. Without `paged`, a row has the room of the longest from its start, and their number
    follows.
    """
    rows = min(rows, len(needs))
    longest = whole_stride(max(need.most for need in needs))
    held = 0
    if llama.head.device.type == "cuda":
        frames = max(need.max_frames for need in needs)
        spare = _spare(llama.head.device) - _GRAPHS - _working_set(llama, layout, rows, frames)
        held = spare // llama.position_bytes
    if not paged:
        if llama.head.device.type == "cuda":
            # The places of a batch are more than its rows; what they take counts.
            while rows > 1 and (bucket(rows) + 1) * longest > held:
                rows -= 1
        return Budget(rows, longest, bucket(rows), 0)
    wanted = max(int(_likely_pages(needs, rows) * _MARGIN), -(-longest // PAGE))
    return Budget(rows, longest, max(min(wanted, held // PAGE), 1), PAGE)


def _likely_pages(needs: Sequence[Need], rows: int) -> int:
    """Pages that so many rows will hold at a time: those that begin together, or later, when each is at another place.

    A row of n tokens after a prompt of p holds p + n / 2 positions on the average; long ones are met more often.
    """
    forecast = Forecast(0, PAGE)
    forecast.begin(max(need.expected_frames for need in needs))
    for need in needs[:rows]:
        forecast.add(need.prompt, need.expected_frames)
    spoken = [need.expected_frames * SLOTS for need in needs]
    held = sum(tokens * (need.prompt + tokens / 2) for need, tokens in zip(needs, spoken, strict=True)) / sum(spoken)
    return max(forecast.most, int(rows * (held / PAGE + 1)))


def predicted_peak(llama: Llama, layout: TokenLayout, budget: Budget, frames: int) -> int:
    """The most GPU memory that this process will likely hold while it speaks rows of up to about `frames`, in bytes."""
    tokens = (budget.pages + 1) * (budget.page_size or budget.positions)
    allocated = torch.cuda.memory_allocated(llama.head.device)
    return allocated + llama.position_bytes * tokens + _working_set(llama, layout, budget.rows, frames)


def _working_set(llama: Llama, layout: TokenLayout, rows: int, frames: int) -> int:
    """Bytes beside weights and cache: a pass of prompts, drawing, what is kept of each row, and a clip's decoding."""
    hidden, qkv, gate_up = llama.widths
    prompts: int = PROMPT_TOKENS * llama.dtype.itemsize * (4 * hidden + 3 * qkv + 2 * gate_up)
    drawing = rows * layout.codebook_size * _DRAW_BYTES_A_COLUMN
    kept = rows * (frames + 1) * SLOTS * 8 + rows * SLOTS * layout.codebook_size
    window = min(frames, window_frames(llama.head.device, layout.frame_samples) + 2 * CONTEXT)
    clip = (window * BYTES_A_SAMPLE + frames * CLIP_BYTES_A_SAMPLE) * layout.frame_samples
    return prompts + drawing + kept + clip + _SLACK


def _spare(device: torch.device) -> int:
    """Bytes of GPU memory that this process may still take; 0 on a CPU, where nobody asks."""
    if device.type != "cuda":
        return 0
    # What the loading of a model leaves in PyTorch's hands is in pieces, too small for a cache.
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    allowed = int(torch.cuda.get_per_process_memory_fraction(device) * total) - torch.cuda.memory_reserved(device)
    return int(min(free, allowed) * (1 - _LEFT))
