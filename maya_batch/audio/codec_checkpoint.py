"""Reads and checks a codec's two files, config.json and pytorch_model.bin, before a codec is built from them."""

import math
import warnings
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from maya_batch.errors import MachineError, first_line
from maya_batch.files.json_file import read_json
from maya_batch.messages.quoting import quoted
from maya_batch.torch_errors import translated_load_errors

_CONFIG, _WEIGHTS = "config.json", "pytorch_model.bin"
_MEND = "fetch it again"

#: Limits that no SNAC reaches: the one for 24 kHz has widths of 48 to 1024, four rates, and 80 MB.
_MOST_WIDTH, _MOST_RATES, _MOST_RATE, _MOST_BYTES = 2**14, 8, 2**10, 2_000_000_000
_MOST_CODES, _MOST_HZ = 2**16, 2**20


@dataclass(frozen=True)
class CodecConfig:
    """The arguments of `SNAC`, with its defaults."""

    sampling_rate: int = 44100
    encoder_dim: int = 64
    encoder_rates: tuple[int, ...] = (3, 3, 7, 7)
    latent_dim: int | None = None
    decoder_dim: int = 1536
    decoder_rates: tuple[int, ...] = (7, 7, 3, 3)
    attn_window_size: int | None = 32
    codebook_size: int = 4096
    codebook_dim: int = 8
    vq_strides: tuple[int, ...] = (8, 4, 2, 1)
    noise: bool = True
    depthwise: bool = True

    @property
    def frame_samples(self) -> int:
        """The number of samples of a code of the first level."""
        return math.prod(self.encoder_rates) * self.vq_strides[0]

    def arguments(self) -> dict[str, Any]:
        """The values as `SNAC` takes them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def least_numbers(self) -> int:
        """A lower bound of the number of weights: products and codebooks, without biases and attention."""
        latent = self.latent_dim or self.encoder_dim * 2 ** len(self.encoder_rates)
        count = len(self.vq_strides) * self.codebook_dim * (2 * latent + self.codebook_size)
        width = self.encoder_dim
        for rate in self.encoder_rates:
            count += self._units(width) + 2 * rate * width * (2 * width)
            width *= 2
        count += 7 * width * (1 if self.depthwise else width) + latent * self.decoder_dim
        width = self.decoder_dim
        for rate in self.decoder_rates:
            narrow = width // 2
            count += 2 * rate * width * narrow + self._units(narrow)
            width = narrow
        return count

    def _units(self, width: int) -> int:
        """The weights of three residual units."""
        return 3 * (width * width + 7 * width * (1 if self.depthwise else width))


def read_codec_config(folder: Path) -> CodecConfig:
    """Read the configuration of the codec in `folder`.

    Raises:
        MachineError: it is missing, is not a SNAC configuration, or has a value out of range.
    """
    path = folder / _CONFIG
    try:
        data = read_json(path)
        if not isinstance(data, dict):
            raise ValueError("it is not a mapping")
        unknown = data.keys() - {field.name for field in fields(CodecConfig)}
        if unknown:
            raise ValueError(f"SNAC has no setting {quoted(min(unknown))}")
        return _parse(data)
    except (OSError, ValueError) as error:
        raise MachineError(f"{path}: the codec does not load ({first_line(error)}); {_MEND}") from error


def _parse(data: dict[str, Any]) -> CodecConfig:
    """The configuration, with every value checked.

    Raises:
        ValueError: a value is wrong.
    """
    for name, most in (
        ("sampling_rate", _MOST_HZ),
        ("encoder_dim", _MOST_WIDTH),
        ("latent_dim", _MOST_WIDTH),
        ("decoder_dim", _MOST_WIDTH),
        ("attn_window_size", _MOST_WIDTH),
        ("codebook_size", _MOST_CODES),
        ("codebook_dim", _MOST_WIDTH),
    ):
        absent = name not in data or (data[name] is None and name in ("latent_dim", "attn_window_size"))
        if not absent and not _is_whole(data[name], most):
            raise ValueError(f"{name} is {quoted(data[name])}, but must be a whole number from 1 to {most}")
    for name in ("encoder_rates", "decoder_rates", "vq_strides"):
        rates = data.get(name, [1])
        if (
            not isinstance(rates, list)
            or not 1 <= len(rates) <= _MOST_RATES
            or not all(_is_whole(rate, _MOST_RATE) for rate in rates)
        ):
            raise ValueError(f"{name} must be 1 to {_MOST_RATES} whole numbers from 1 to {_MOST_RATE}")
    for name in ("noise", "depthwise"):
        if not isinstance(data.get(name, True), bool):
            raise ValueError(f"{name} is {quoted(data[name])}, but must be true or false")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    config = CodecConfig(**values)
    if math.prod(config.encoder_rates) != math.prod(config.decoder_rates):
        raise ValueError("encoder_rates and decoder_rates have different products")
    if config.decoder_dim >> len(config.decoder_rates) == 0:
        raise ValueError(f"decoder_dim is {config.decoder_dim}, too small to halve {len(config.decoder_rates)} times")
    return config


def _is_whole(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def read_codec_weights(folder: Path, config: CodecConfig) -> dict[str, torch.Tensor]:
    """Read the tensors of the codec in `folder`, on the CPU. Code in the file is never run.

    Raises:
        MachineError: they are not plain tensors, too few or too many for the configuration, or not finite.
    """
    path = folder / _WEIGHTS
    try:
        _check_size(path, config)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise MachineError(f"{path}: the codec does not load ({first_line(error)}); {_MEND}") from error
    with translated_load_errors(path, "the codec"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about old formats; the contents are checked below
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise MachineError(f"{path}: not a codec file that can be read (not plain tensors); {_MEND}") from error
        if not isinstance(weights, dict) or not all(
            isinstance(name, str)
            and isinstance(tensor, torch.Tensor)
            and tensor.is_floating_point()
            and tensor.layout == torch.strided
            and tensor.device.type == "cpu"
            for name, tensor in weights.items()
        ):
            raise MachineError(f"{path}: not a codec file that can be read (not plain tensors with names); {_MEND}")
        # A tensor may repeat a number of the file without end, and tensors may share numbers.
        if sum(tensor.numel() * tensor.element_size() for tensor in weights.values()) > path.stat().st_size:
            raise MachineError(f"{path}: the codec's weights are more numbers than are in the file; {_MEND}")
        # The sum is not finite if a number is not, and takes no memory. Numbers whose sum overflows make no sound.
        if not all(bool(tensor.sum(dtype=torch.float32).isfinite()) for tensor in weights.values()):
            raise MachineError(f"{path}: the codec's weights are not finite numbers; {_MEND}")
    return weights


def _check_size(path: Path, config: CodecConfig) -> None:
    """Check that a file can hold the weights of this configuration, and is not compressed.

    Raises:
        ValueError: the file is missing, too small, too large or compressed.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError("no such file")
    size, numbers = path.stat().st_size, config.least_numbers()
    if size < 2 * numbers or size > _MOST_BYTES:
        raise ValueError(f"{size:,} bytes do not fit the {numbers:,} or more weights of {_CONFIG}")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            if sum(part.file_size for part in parts.infolist()) > size:
                raise ValueError("it is compressed")
