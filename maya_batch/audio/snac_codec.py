"""SNAC: decodes frames of codes into sound.

Each clip is decoded alone and with a seed, so on one machine the same codes give the same samples, bit for bit. In a
batch, the other clips would change them: SNAC's decoder draws its noise for the whole batch, and a batched convolution
rounds differently. A long clip is decoded in overlapping windows with one noise for all of them: it takes no more
memory than a short one and has no seams.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from snac import SNAC
from snac.layers import NoiseBlock, Snake1d
from torch.nn.utils import parametrize

from maya_batch.audio.codec_checkpoint import read_codec_config, read_codec_weights
from maya_batch.audio.decode_window import CONTEXT, window_frames
from maya_batch.audio.decoder_graphs import decoder_graphs
from maya_batch.checkpoint.locate import SNAC_24KHZ
from maya_batch.checkpoint.token_layout import Codes, TokenLayout, levels
from maya_batch.errors import MachineError
from maya_batch.torch_errors import translated_load_errors

#: Waits until a clip is decoded, and returns its samples [samples], -1 to 1.
Pending: TypeAlias = Callable[[], NDArray[np.float32]]

#: Decodes the frames from `first` to `last` of codes, with the noises of these: (codes, first, last, noises).
Decode: TypeAlias = Callable[[Codes, int, int, Sequence[torch.Tensor]], torch.Tensor]


class Codec:
    """A loaded SNAC on one device."""

    def __init__(self, model: SNAC, layout: TokenLayout, device: torch.device, window: int) -> None:
        """`window` frames are decoded together. `model` is changed: it takes its noise from this codec, and its weight
        normalization is computed once. On a GPU clips are decoded on the stream that is current now.
        """
        self._model, self._layout, self._device, self._window = model, layout, device, window
        self._generator = torch.Generator(device)
        # The stream of the frames, so a clip is decoded between two of them. On a second stream with less priority both
        # took far longer: each of a frame's 2,000 kernels waited for those of the codec to make room.
        self._stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
        _prepare(model)
        self._noises = {block: rate for block, rate, _ in _walk(model.decoder) if isinstance(block, _Noise)}
        with self._computing():
            self._graphs = decoder_graphs(model, device)

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        """Decode codes [frames, 7] into samples [frames * frame_samples - clip_start_samples], -1 to 1.

        `seed` determines the decoder's noise. The warm-up click at the start (`clip_start_samples`) is left out.
        """
        return self.start(codes, seed)()

    def start(self, codes: Codes, seed: int) -> Pending:
        """Begin to decode, as `decode` does. A GPU goes on while the caller does something else."""
        if not len(codes):
            return lambda: np.zeros(0, dtype=np.float32)
        steps, size = self._model.vq_strides[0], self._layout.frame_samples
        windows = []
        with self._computing():
            decode = self._decode_eagerly(codes) if self._graphs is None else self._graphs.decode
            self._generator.manual_seed(seed)
            noises = [self._draw(len(codes) * steps * rate) for rate in self._noises.values()]
            for start, end in _windows(len(codes), self._window):
                first, last = max(start - CONTEXT, 0), min(end + CONTEXT, len(codes))
                drawn = [
                    noise[..., first * steps * rate : last * steps * rate]
                    for noise, rate in zip(noises, self._noises.values(), strict=True)
                ]
                made = decode(codes, first, last, drawn)
                windows.append(made[(start - first) * size : (end - first) * size])
            return _arriving(torch.cat(windows).float()[self._layout.clip_start_samples :])

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute on this codec's stream, the same bits each time."""
        with (
            torch.cuda.stream(self._stream),
            torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False),
            torch.inference_mode(),
        ):
            yield

    def _draw(self, count: int) -> torch.Tensor:
        # transformers changes PyTorch's default number format, for all threads, while it builds a model.
        return torch.randn((1, 1, count), generator=self._generator, dtype=torch.float32, device=self._device)

    def _decode_eagerly(self, codes: Codes) -> Decode:
        """How a part of `codes`, whose hidden states are computed at once, is decoded operation by operation."""
        steps = self._model.vq_strides[0]
        tensors = [torch.from_numpy(level.astype(np.int64)).unsqueeze(0).to(self._device) for level in levels(codes)]
        hidden = self._model.quantizer.from_codes(tensors)

        def decode(_: Codes, first: int, last: int, noises: Sequence[torch.Tensor]) -> torch.Tensor:
            for block, noise in zip(self._noises, noises, strict=True):
                block.noise = noise
            made: torch.Tensor = self._model.decoder(hidden[..., first * steps : last * steps])[0, 0]
            return made

        return decode


def _arriving(samples: torch.Tensor) -> Pending:
    """Samples on their way to the host."""
    if samples.device.type != "cuda":
        return samples.numpy
    host = torch.empty(samples.shape, dtype=samples.dtype, pin_memory=True)
    host.copy_(samples, non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()

    def wait() -> NDArray[np.float32]:
        arrived.synchronize()
        return host.numpy().copy()  # pinned memory is scarce

    return wait


class _Noise(torch.nn.Module):
    """SNAC's noise block, with noise that is set from outside: the clip's, for the window that is decoded."""

    def __init__(self, linear: torch.nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.noise = torch.empty(0)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Add noise of the learned strength to hidden [1, channels, samples]."""
        strength: torch.Tensor = self.linear(hidden)
        return hidden + self.noise * strength


class _Snake(torch.nn.Module):
    """SNAC's activation, x + sin(ax)^2 / a, with the same bits as SNAC's own but one tensor instead of five."""

    def __init__(self, alpha: torch.Tensor) -> None:
        super().__init__()
        self.alpha, self._inverse = torch.nn.Parameter(alpha), (alpha + 1e-9).reciprocal()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the activation to hidden [1, channels, samples]."""
        waved = (self.alpha * hidden).sin_()
        return waved.mul_(waved).mul_(self._inverse).add_(hidden)


def _prepare(model: SNAC) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NoiseBlock):
                setattr(module, name, _Noise(child.linear))
            if isinstance(child, Snake1d):
                setattr(module, name, _Snake(child.alpha.detach()))
        if parametrize.is_parametrized(module, "weight"):
            # Otherwise weight normalization is computed for every clip.
            parametrize.remove_parametrizations(module, "weight")


def _walk(decoder: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, int, float]]:
    """The decoder's parts in their order, each with the rate after it, in samples a step, and the steps on either side
    that its samples depend on.
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
    """Divide `frames` frames into windows of about the same size, at most `most`: (start, end) of each."""
    count = -(-frames // most)
    edges = [frames * at // count for at in range(count + 1)]
    return list(pairwise(edges))


def load_codec(folder: Path, layout: TokenLayout, device: torch.device) -> Codec:
    """Load the codec in `folder` (config.json and pytorch_model.bin) in float32 onto the device.

    Raises:
        MachineError: it does not load (the weights are read as tensors only, never as pickled code), or it does not
            fit the checkpoint's codes.
    """
    config = read_codec_config(folder)
    given = (config.codebook_size, list(config.vq_strides), config.frame_samples, config.sampling_rate)
    wanted = (layout.codebook_size, [4, 2, 1], layout.frame_samples, layout.sampling_rate)
    if given != wanted:
        raise MachineError(
            f"{folder}: the codec does not fit this model: it has {given[0]} codes, strides {given[1]} and {given[2]} "
            f"samples a frame at {given[3]} Hz; the model needs {wanted[0]} codes, strides {wanted[1]} and {wanted[2]} "
            f"samples a frame at {wanted[3]} Hz"
        )
    weights = read_codec_weights(folder, config)
    with translated_load_errors(folder, "the codec"):
        with device:  # a GPU draws the numbers that are replaced at once; on a CPU that takes a quarter of a second
            model = SNAC(**config.arguments())
        model.load_state_dict(weights)
    reach = max(reach for _, _, reach in _walk(model.decoder))
    if model.attn_window_size is not None or reach > CONTEXT * config.vq_strides[0]:
        raise MachineError(
            f"{folder}: the codec does not fit this model: its samples depend on more than {CONTEXT} frames on either "
            f"side; Maya1's codec is {SNAC_24KHZ}"
        )
    found = {parameter.device.type for parameter in model.parameters()}
    if found != {device.type}:
        raise MachineError(f"the codec is on {', '.join(sorted(found))} instead of {device}")
    codec = Codec(model.eval(), layout, device, window_frames(device, layout.frame_samples))
    # Weight normalization turns a direction of zeros into NaN.
    sums = torch.stack([parameter.sum() for parameter in model.parameters()])
    if not bool(sums.isfinite().all()):
        raise MachineError(f"{folder}: the codec's weights are not finite numbers; fetch it again")
    return codec
