"""SNAC: frames of codes become sound.

A clip is decoded alone. SNAC's decoder adds noise that it draws for the whole batch, and a batched convolution rounds
differently from a single one, so a neighbour would change a clip's samples; alone and seeded, the same
codes give the same samples, bit for bit, on one machine. A long one is decoded in windows that overlap, with one noise
for all of it, so that it takes no more memory than a short one, and has no seams.
"""

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from snac import SNAC
from snac.layers import NoiseBlock, Snake1d
from torch.nn.utils import parametrize

from maya_batch.audio.codec_checkpoint import read_codec_config, read_codec_weights
from maya_batch.audio.decode_window import CONTEXT, window_frames
from maya_batch.checkpoint.locate import SNAC_24KHZ
from maya_batch.checkpoint.token_layout import Codes, TokenLayout, levels
from maya_batch.errors import MachineError
from maya_batch.torch_errors import translated_load_errors

log = logging.getLogger(__name__)

#: SNAC's activation as one kernel: while a model runs on the same GPU, each of a clip's kernels waits for one of the
#: model's, and their number decides how long a clip takes.
_SNAKE = """
template <typename T> T snake(T x, T alpha, T inverse) {
    T waved = sin(alpha * x);
    return x + waved * waved * inverse;
}
"""


class Codec:
    """A loaded SNAC on one device."""

    def __init__(self, model: SNAC, layout: TokenLayout, device: torch.device, window: int) -> None:
        """`window` frames are decoded together. `model` is made to take its noise from this codec, and its weights are
        laid out flat.
        """
        self._model, self._layout, self._device, self._window = model, layout, device, window
        self._generator = torch.Generator(device)
        # A separate stream: a clip is decoded while the GPU generates the next frames.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        _prepare(model, _one_kernel(device))
        self._noises = {block: rate for block, rate, _ in _walk(model.decoder) if isinstance(block, _Noise)}

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        """The sound of codes [frames, 7] as samples [frames * frame_samples - clip_start_samples], -1 to 1.

        `seed` settles the decoder's noise. The samples the layout calls a warm-up click are left out.
        """
        if not len(codes):
            return np.zeros(0, dtype=np.float32)
        with (
            torch.cuda.stream(self._stream),
            torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False),
            torch.inference_mode(),
        ):
            tensors = [
                torch.from_numpy(level.astype(np.int64)).unsqueeze(0).to(self._device) for level in levels(codes)
            ]
            hidden = self._model.quantizer.from_codes(tensors)
            self._generator.manual_seed(seed)
            noises = {block: self._draw(hidden, rate) for block, rate in self._noises.items()}
            windows = [self._decode(hidden, noises, *window) for window in _windows(len(codes), self._window)]
            samples: NDArray[np.float32] = torch.cat(windows).float().cpu().numpy()
        return samples[self._layout.clip_start_samples :]

    def _draw(self, hidden: torch.Tensor, rate: int) -> torch.Tensor:
        """Noise for all of a clip, `rate` numbers to each of its hidden states."""
        shape = (1, 1, hidden.shape[-1] * rate)
        return torch.randn(shape, generator=self._generator, device=hidden.device, dtype=hidden.dtype)

    def _decode(self, hidden: torch.Tensor, noises: dict["_Noise", torch.Tensor], start: int, end: int) -> torch.Tensor:
        """The samples of some of a clip's frames, from the clip's hidden states [1, channels, steps] and noises."""
        steps, samples = self._model.vq_strides[0], self._layout.frame_samples
        before = min(CONTEXT, start)
        first, last = (start - before) * steps, (end + CONTEXT) * steps
        for block, rate in self._noises.items():
            block.noise = noises[block][..., first * rate : last * rate]
        made: torch.Tensor = self._model.decoder(hidden[..., first:last])[0, 0]
        return made[before * samples : (before + end - start) * samples]


class _Noise(torch.nn.Module):
    """SNAC's noise block, with given noise: that of the clip, whichever part of it is decoded."""

    def __init__(self, linear: torch.nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.noise = torch.empty(0)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden [1, channels, samples] with noise of the strength that the block has learned."""
        strength: torch.Tensor = self.linear(hidden)
        return hidden + self.noise * strength


class _Snake(torch.nn.Module):
    """SNAC's activation, x + sin(ax)^2 / a: as `one_kernel` makes it, or to the same bits as SNAC's own, with one
    tensor instead of five.
    """

    def __init__(self, alpha: torch.Tensor, one_kernel: Callable[..., torch.Tensor] | None = None) -> None:
        super().__init__()
        self.alpha, self._inverse = torch.nn.Parameter(alpha), (alpha + 1e-9).reciprocal()
        self._one_kernel = one_kernel

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden [1, channels, samples] as such."""
        if self._one_kernel is not None:
            return self._one_kernel(hidden, self.alpha, self._inverse)
        waved = (self.alpha * hidden).sin_()
        return waved.mul_(waved).mul_(self._inverse).add_(hidden)


def _one_kernel(device: torch.device) -> Callable[..., torch.Tensor] | None:
    """SNAC's activation for a GPU, compiled; None on a CPU, and where it does not compile."""
    if device.type != "cuda":
        return None
    snake: Callable[..., torch.Tensor] = torch.cuda.jiterator._create_jit_fn(_SNAKE)
    one = torch.ones(1, device=device)
    try:
        snake(one, one, one)
    except RuntimeError as error:
        log.debug("SNAC's activation is computed step by step: %s", error)
        return None
    return snake


def _prepare(model: SNAC, one_kernel: Callable[..., torch.Tensor] | None) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NoiseBlock):
                setattr(module, name, _Noise(child.linear))
            if isinstance(child, Snake1d):
                setattr(module, name, _Snake(child.alpha.detach(), one_kernel))
        if parametrize.is_parametrized(module, "weight"):
            # Otherwise weight normalization would be computed for every clip.
            parametrize.remove_parametrizations(module, "weight")


def _walk(decoder: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, int, float]]:
    """The decoder's parts in their order, with its rate behind each, in samples a step, and what its samples there
    depend on, in steps on either side.
    """
    rate, reach = 1, 0.0
    for part in decoder.modules():
        if isinstance(part, torch.nn.Conv1d):
            reach += part.dilation[0] * (part.kernel_size[0] // 2) / rate
        if isinstance(part, torch.nn.ConvTranspose1d):
            reach += part.kernel_size[0] // part.stride[0] / 2 / rate
            rate *= part.stride[0]
        yield part, rate, reach


def _windows(frames: int, most: int) -> list[tuple[int, int]]:
    """`frames` frames in windows of about the same size, at most `most`: where each begins and ends."""
    count = -(-frames // most)
    edges = [frames * at // count for at in range(count + 1)]
    return list(pairwise(edges))


def load_codec(folder: Path, layout: TokenLayout, device: torch.device) -> Codec:
    """The codec in `folder` (config.json and pytorch_model.bin), in float32 on the device.

    Raises:
        MachineError: it does not load (the weights are read as tensors only, never as pickled code), or it does not
            speak the checkpoint's codes.
    """
    config = read_codec_config(folder)
    given = (config.codebook_size, list(config.vq_strides), config.frame_samples, config.sampling_rate)
    wanted = (layout.codebook_size, [4, 2, 1], layout.frame_samples, layout.sampling_rate)
    if given != wanted:
        raise MachineError(
            f"{folder}: a codec of {given[0]} codes, strides {given[1]}, {given[2]} samples a frame at {given[3]} Hz "
            f"does not fit this model, which writes {wanted[0]} codes, {wanted[2]} samples a frame at {wanted[3]} Hz"
        )
    weights = read_codec_weights(folder, config)
    with translated_load_errors(folder, "the codec"):
        model = SNAC(**config.arguments())
        model.load_state_dict(weights)
        model.to(device)
    reach = max(reach for _, _, reach in _walk(model.decoder))
    if model.attn_window_size is not None or reach > CONTEXT * config.vq_strides[0]:
        raise MachineError(
            f"{folder}: a codec whose samples depend on more than {CONTEXT} frames does not fit this model; "
            f"Maya1's is {SNAC_24KHZ}"
        )
    lying = {parameter.device.type for parameter in model.parameters()}
    if lying != {device.type}:
        raise MachineError(f"the codec lies on {', '.join(sorted(lying))} and not on {device}")
    codec = Codec(model.eval(), layout, device, window_frames(device, layout.frame_samples))
    # Of a direction that is all zeros, weight normalization has made NaN.
    if not all(bool(parameter.sum().isfinite()) for parameter in model.parameters()):
        raise MachineError(f"{folder}: the codec's weights are not finite numbers; fetch it again")
    return codec
