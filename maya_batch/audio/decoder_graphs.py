"""SNAC's decoder as CUDA graphs, one for each length of clips.

A clip takes some 150 kernels. Called one by one, they take 15 ms of Python, for which the engine's thread waits, since
both share one interpreter; a graph is one call.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from snac import SNAC

from maya_batch.audio.decode_window import STEP
from maya_batch.checkpoint.token_layout import SLOTS, Codes, levels
from maya_batch.errors import first_line
from maya_batch.torch_errors import capture_ending

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Graph:
    """The decoder for clips up to a length, and the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    given: torch.Tensor
    """The number of steps that are there, and the codes of the three levels."""
    noises: list[torch.Tensor]
    samples: torch.Tensor


class DecoderGraphs:
    """Decodes clips on a GPU, each as if it had been decoded alone and in its own length.

    The memory of the longest clip so far stays reserved.
    """

    def __init__(self, model: SNAC, device: torch.device) -> None:
        """`model` is on the GPU `device`, without weight normalization, and `is_like_mayas`."""
        from maya_batch.audio.snac_decoder import SnacDecoder  # needs Triton

        self._model, self._device, self._decoder = model, device, SnacDecoder(model.decoder)
        self._steps: int = model.vq_strides[0]
        self._graphs: dict[int, _Graph] = {}
        self._pool: Any = None
        self._capturing = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._run(*self._inputs(STEP))  # compiles the kernels, which cannot be done in a graph

    def decode(self, codes: Codes, first: int, last: int, noises: Sequence[torch.Tensor]) -> torch.Tensor:
        """Samples, on the GPU, of the frames from `first` to `last` of codes [frames, 7].

        `noises` are those of these frames, [1, 1, samples] for each block of the decoder.
        """
        frames = last - first
        size = -(-frames // STEP) * STEP
        if size not in self._graphs:
            self._graphs[size] = self._capture(size)
        graph = self._graphs[size]
        given = np.zeros(1 + SLOTS * size, np.int32)
        given[0] = frames * self._steps
        for level, (start, _) in zip(levels(codes[first:last]), _places(size), strict=True):
            given[start : start + len(level)] = level
        graph.given.copy_(torch.from_numpy(given).pin_memory(), non_blocking=True)  # otherwise it waits for the stream
        for place, noise in zip(graph.noises, noises, strict=True):
            place[..., : noise.shape[-1]].copy_(noise)
        graph.graph.replay()
        return graph.samples[: frames * self._steps * self._decoder.rate].clone()

    def _capture(self, size: int) -> _Graph:
        """The graph for `size` frames."""
        given, noises = self._inputs(size)
        graph = torch.cuda.CUDAGraph()
        # torch.cuda.graph is not used: it first waits until the GPU is idle.
        with torch.cuda.stream(self._capturing):
            graph.capture_begin(pool=self._pool, capture_error_mode="relaxed")
            with capture_ending(graph):
                samples = self._run(given, noises)
        self._pool = graph.pool()
        return _Graph(graph, given, noises, samples)

    def _inputs(self, size: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        given = torch.zeros(1 + SLOTS * size, dtype=torch.int32, device=self._device)
        sizes = [size * self._steps * rate for rate in self._decoder.noise_rates]
        return given, [torch.zeros(1, 1, noises, dtype=torch.float32, device=self._device) for noises in sizes]

    def _run(self, given: torch.Tensor, noises: Sequence[torch.Tensor]) -> torch.Tensor:
        size = (len(given) - 1) // SLOTS
        hidden = self._model.quantizer.from_codes([given[start:end].unsqueeze(0) for start, end in _places(size)])
        return self._decoder(hidden, noises, given[:1])


def _places(size: int) -> list[tuple[int, int]]:
    """Where the codes of each level of `size` frames begin and end, behind one number."""
    return [(1, 1 + size), (1 + size, 1 + 3 * size), (1 + 3 * size, 1 + SLOTS * size)]


def decoder_graphs(model: SNAC, device: torch.device) -> DecoderGraphs | None:
    """The graphs of a codec without weight normalization.

    None on a CPU, for a SNAC of another kind than Maya1's, or if its kernels do not compile, which is logged.
    """
    if device.type != "cuda":
        return None
    try:
        from maya_batch.audio.snac_decoder import is_like_mayas

        return DecoderGraphs(model, device) if is_like_mayas(model.decoder) else None
    except Exception as error:  # Triton passes on the errors of the C compiler, the loader and the driver
        log.warning("the codec's GPU kernels do not compile (%s): decoding is slower", first_line(error))
        return None
