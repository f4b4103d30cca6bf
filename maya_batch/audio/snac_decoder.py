"""SNAC's decoder of GPU kernels, for clips of any length up to that of its input."""

from collections.abc import Sequence
from typing import Any

import torch
from snac.attention import LocalMHA
from snac.layers import DecoderBlock, ResidualUnit

from maya_batch.audio.snac_kernels import TAPS, Activation, FusedUnit


class _Block:
    """A block of the decoder: activation, upsampling, noise, and residual units."""

    def __init__(self, block: Any, rate: int) -> None:
        """`rate` is that of its input, in samples a step."""
        activation, self._upsampling, noise, *units = block
        self._activation = Activation(activation.alpha, rate)
        self.rate: int = rate * self._upsampling.stride[0]
        self._noise_strength: torch.nn.Module = noise.linear
        self._units = [FusedUnit(unit.block, self.rate) for unit in units]

    def __call__(self, hidden: torch.Tensor, noise: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        hidden = self._upsampling(self._activation(hidden, valid))
        hidden = torch.addcmul(hidden, noise, self._noise_strength(hidden))
        for unit in self._units:
            hidden = unit(hidden, valid)
        return hidden


class SnacDecoder:
    """Two convolutions, the blocks, an activation, a convolution and tanh."""

    def __init__(self, decoder: Any) -> None:
        """`decoder` is SNAC's, on a GPU and without weight normalization; `is_like_mayas` holds for it."""
        *self._first, activation, self._last, _ = (part for part in decoder.model if not isinstance(part, DecoderBlock))
        self._blocks, rate = list[_Block](), 1
        for part in decoder.model:
            if isinstance(part, DecoderBlock):
                self._blocks.append(_Block(part.block, rate))
                rate = self._blocks[-1].rate
        self._activation = Activation(activation.alpha, rate)
        self.rate = rate
        """Samples a step."""

    @property
    def noise_rates(self) -> list[int]:
        """The numbers of noise a step that each block takes."""
        return [block.rate for block in self._blocks]

    def __call__(self, hidden: torch.Tensor, noises: Sequence[torch.Tensor], valid: torch.Tensor) -> torch.Tensor:
        """Samples [steps * rate] of hidden [1, channels, steps] with noises [1, 1, steps * its rate].

        Only the first `valid` steps, a whole number on the GPU, are there: they are decoded as if the input ended
        behind them, and the samples of the others mean nothing.
        """
        steps = torch.arange(hidden.shape[-1], device=hidden.device)
        hidden = torch.where(steps < valid, hidden, 0.0)
        for convolution in self._first:
            hidden = convolution(hidden)
        for block, noise in zip(self._blocks, noises, strict=True):
            hidden = block(hidden, noise, valid)
        return torch.tanh(self._last(self._activation(hidden, valid)))[0, 0]


def is_like_mayas(decoder: Any) -> bool:
    """Whether a decoder of SNAC has noise, no attention, and depthwise convolutions of `TAPS` taps."""
    parts = list(decoder.modules())
    blocks = [part for part in parts if isinstance(part, DecoderBlock)]
    units = [part.block[1] for part in parts if isinstance(part, ResidualUnit)]
    return (
        not any(isinstance(part, LocalMHA) for part in parts)
        and all(hasattr(block.block[2], "linear") for block in blocks)
        and all(unit.groups == unit.in_channels and unit.kernel_size == (TAPS,) for unit in units)
    )
