"""What an engine computes on, in words, and whether that is a GPU."""

from dataclasses import dataclass

import torch

from maya_batch.engine.device import choose_device
from maya_batch.messages.plural import plural


@dataclass(frozen=True)
class ComputeDevice:
    """A device. `torch_device` is the same one for PyTorch; None if PyTorch does not see it."""

    description: str
    is_gpu: bool
    torch_device: torch.device | None


def compute_device(engine: str, name: str) -> ComputeDevice:
    """The device that the engine hf or gguf computes on, where the settings say `name`.

    llama.cpp may see other GPUs than PyTorch, or none.

    Raises:
        MachineError: there is no such device, or llama.cpp does not load.
        UsageError: there is no device of this name.
    """
    if engine == "gguf":
        from maya_batch.engine.ggml_devices import choose_ggml_device
        from maya_batch.engine.llama_library import llama_library

        chosen = choose_ggml_device(llama_library(), name)
        if chosen is None:
            return _cpu()
        number, gpu = chosen
        seen = torch.device("cuda", number) if number < torch.cuda.device_count() else None
        return ComputeDevice(gpu.description, True, seen)
    device = choose_device(name)
    if device.type == "cuda":
        return ComputeDevice(torch.cuda.get_device_name(device), True, device)
    return _cpu()


def _cpu() -> ComputeDevice:
    return ComputeDevice(f"CPU, {plural(torch.get_num_threads(), 'thread')}", False, torch.device("cpu"))
