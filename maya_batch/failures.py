"""What models and codecs fail with in mid-run, told in one line."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from maya_batch.errors import GpuLostError, MachineError, first_line

log = logging.getLogger(__name__)

#: How PyTorch's errors begin after which nothing on the GPU works any more, in its words.
_LOST = ("CUDA error", "CUDA driver error", "cuDNN error", "NVML")

#: Parts of what PyTorch says where memory is short, on a GPU and on a CPU.
_NO_ROOM = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def failures_told(lost: Callable[[], None] | None = None) -> Iterator[None]:
    """RuntimeErrors of PyTorch become errors of the machine; `lost` is called where the GPU is of no use any more.

    Raises:
        GpuLostError: the GPU failed, and only a new process can use it.
        MachineError: the memory is full, or PyTorch failed in another way.
    """
    try:
        yield
    except MemoryError as error:
        raise MachineError("the memory is full; ask for a smaller --batch-size, or close other programs") from error
    except RuntimeError as error:
        log.debug("%s", error, exc_info=error)
        first = first_line(error)
        if is_gpu_failure(error):
            if lost is not None:
                lost()
            raise GpuLostError(f"the GPU failed ({first}); what is stored stays") from error
        if any(words in str(error) for words in _NO_ROOM):
            short = first.split(". ")[0]
            raise MachineError(f"the memory is full ({short}); ask for a smaller --batch-size") from error
        raise MachineError(f"the model or the codec failed ({first}); what is stored stays") from error


def is_gpu_failure(error: BaseException) -> bool:
    """Whether this is an error of CUDA itself. The type is known by its name: PyTorch may not be loaded at all."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "OutOfMemoryError" in names:
        return False
    return "AcceleratorError" in names or (isinstance(error, RuntimeError) and str(error).startswith(_LOST))
