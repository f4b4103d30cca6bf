"""The devices that the installed build of llama.cpp can compute on."""

import ctypes
from dataclasses import dataclass

from maya_batch.engine.llama_library import LlamaLibrary
from maya_batch.errors import MachineError
from maya_batch.messages.install_hint import rebuild_hint

#: ggml's numbers for a GPU with its own memory, and one that shares the machine's.
_GPU_TYPES = (1, 2)

_CUDA = "CMAKE_ARGS=-DGGML_CUDA=on"


@dataclass(frozen=True)
class GgmlDevice:
    """A device; `free` and `total` are bytes of its memory now."""

    name: str
    description: str
    is_gpu: bool
    free: int
    total: int


def cuda_build_hint() -> str:
    """The command that compiles the installed llama.cpp again for NVIDIA's GPUs."""
    return rebuild_hint("llama-cpp-python", _CUDA)


def ggml_devices(library: LlamaLibrary) -> list[GgmlDevice]:
    """All devices, in ggml's order."""
    ggml = library.ggml
    found = []
    for number in range(ggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(ggml.ggml_backend_dev_get(ctypes.c_size_t(number)))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        name, description = (
            (function(device) or b"").decode("utf-8", "replace")
            for function in (ggml.ggml_backend_dev_name, ggml.ggml_backend_dev_description)
        )
        is_gpu = ggml.ggml_backend_dev_type(device) in _GPU_TYPES
        found.append(GgmlDevice(name, description, is_gpu, free.value, total.value))
    return found


def choose_ggml_device(library: LlamaLibrary, name: str) -> tuple[int, GgmlDevice] | None:
    """The GPU of this name and its number among the GPUs, or None for the CPU.

    `auto` is the first GPU, if this build of llama.cpp can use one; `cuda:1` is the second one.

    Raises:
        MachineError: it has no GPU of this number.
    """
    gpus = [device for device in ggml_devices(library) if device.is_gpu]
    if name == "cpu" or (name == "auto" and not gpus):
        return None
    number = int(name.partition(":")[2] or 0)
    if number >= len(gpus):
        what = f"it sees {len(gpus)}" if gpus else f"compile it for one with `{cuda_build_hint()}`, or use --device cpu"
        raise MachineError(f"device {name}: this build of llama.cpp has no such GPU; {what}")
    return number, gpus[number]
