"""Chooses the device and the number format: the requested ones, or an error; never a silent fallback.

Each GPU has one stream for frames and clips.
"""

from functools import cache

import torch

from maya_batch.errors import MachineError, UsageError
from maya_batch.messages.plural import plural

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device of this name: `auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.

    Raises:
        MachineError: CUDA is not available; the message says why.
        UsageError: there is no device of this name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device {name}: unknown; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise UsageError(f"device {name}: not supported; use auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        why = "this PyTorch was built without CUDA" if torch.version.cuda is None else "PyTorch sees no GPU"
        raise MachineError(f"device {name}: {why}; check `nvidia-smi` and `maya-batch doctor`, or use --device cpu")
    index = device.index or 0
    count = torch.cuda.device_count()
    if index >= count:
        raise MachineError(f"device {name}: PyTorch sees {plural(count, 'GPU')}; the last one is cuda:{count - 1}")
    return torch.device("cuda", index)


def choose_dtype(name: str, device: torch.device, quantization: str) -> torch.dtype:
    """The number format of this name; `auto`: float32 on a CPU, bfloat16 on a GPU that supports it, else float16."""
    if name != "auto":
        return DTYPES[name]
    if device.type == "cpu":
        return torch.float32
    # bitsandbytes' int8 product takes float16 inputs; Turing and older cards compute bfloat16 wrongly or not at all.
    if quantization == "int8" or torch.cuda.get_device_capability(device) < (8, 0):
        return torch.float16
    return torch.bfloat16


@cache
def compute_stream(device: torch.device) -> torch.cuda.Stream | None:
    """The stream on which a GPU computes frames, and decodes clips between two of them; None for a CPU.

    CUDA's default stream and the streams of CTranslate2 wait for each other: on it, a token of a transcript takes as
    long as a frame.
    """
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
