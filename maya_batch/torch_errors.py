"""Turns the errors of models and codecs into one line, during a run and while they are loaded."""

import errno
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from maya_batch.errors import GpuLostError, MachineError, MayaBatchError, first_line, is_of_a_signal
from maya_batch.wording import gpu_failed, model_failed

log = logging.getLogger(__name__)

#: How PyTorch's errors begin after which nothing on the GPU works any more.
_LOST = ("CUDA error", "CUDA driver error", "cuDNN error", "NVML")

#: What PyTorch, Python and the dynamic linker say when memory is short, on a GPU and on a CPU.
_NO_ROOM = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
_NO_ROOM_TO_IMPORT = ("cannot allocate memory", "failed to map segment", "cannot create shared object descriptor")

#: What Python says when the system refuses a thread because memory or the number of processes is limited.
_NO_THREAD = "can't start new thread"


@contextmanager
def translated_torch_errors(lost: Callable[[], None] | None = None) -> Iterator[None]:
    """Turn PyTorch's RuntimeErrors into MachineErrors. `lost` is called if the GPU cannot be used any more.

    A NotImplementedError or a RecursionError is a mistake in the program, and is raised unchanged.

    Raises:
        GpuLostError: the GPU failed, and only a new process can use it.
        MachineError: the memory is full, or PyTorch failed in another way.
    """
    try:
        yield
    except (MemoryError, ImportError, OSError) as error:
        if not out_of_memory(error):
            raise
        raise MachineError("the memory is full; use a smaller --batch-size, or close other programs") from error
    except RuntimeError as error:
        if not _is_of_pytorch(error):
            raise
        log.debug("%s", error, exc_info=error)
        first = first_line(error)
        if is_gpu_failure(error):
            if lost is not None:
                lost()
            raise GpuLostError(gpu_failed(first)) from error
        if _NO_THREAD in str(error):
            raise MachineError(
                f"the system refuses a new thread ({first}): memory or the number of processes is limited; close other "
                "programs, or raise `ulimit -v` and `ulimit -u`"
            ) from error
        if out_of_memory(error):
            short = first.split(". ")[0]
            raise MachineError(f"the memory is full ({short}); use a smaller --batch-size") from error
        raise MachineError(model_failed(first)) from error


@contextmanager
def translated_load_errors(folder: Path, what: str) -> Iterator[None]:
    """Turn errors while loading `what` from `folder` into one that names both, except full memory and a lost GPU.

    The files of a checkpoint are untrusted and go through four libraries, each of which raises different errors.

    Raises:
        MachineError: it does not load.
    """
    try:
        yield
    except MayaBatchError:
        raise
    except BaseException as error:
        # A panic in Rust, as a tokenizer may have, is not an Exception.
        foreign = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if not foreign or is_of_a_signal(error) or out_of_memory(error) or is_gpu_failure(error):
            raise
        raise MachineError(f"{folder}: {what} does not load ({first_line(error)}); fetch it again") from error


def is_gpu_failure(error: BaseException) -> bool:
    """Whether this is an error of CUDA itself. The type is recognized by its name: PyTorch may not be loaded."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "OutOfMemoryError" in names:
        return False
    return "AcceleratorError" in names or (isinstance(error, RuntimeError) and str(error).startswith(_LOST))


def out_of_memory(error: BaseException | None) -> bool:
    """Whether memory that is full or limited caused an error: in Python, the system, PyTorch (also on a GPU), while a
    library was loaded, or when a thread was started.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        said = str(error).lower()
        if (
            isinstance(error, MemoryError)
            or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
            or (isinstance(error, ImportError) and any(words in said for words in _NO_ROOM_TO_IMPORT))
            or (isinstance(error, RuntimeError) and any(words in said for words in (*_NO_ROOM, _NO_THREAD)))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_of_pytorch(error: RuntimeError) -> bool:
    """Whether PyTorch may have raised it: a plain RuntimeError, or a subclass that PyTorch defines."""
    return type(error) is RuntimeError or any(
        kind.__name__ in ("OutOfMemoryError", "AcceleratorError") for kind in type(error).__mro__
    )


class Capture(Protocol):
    """A CUDA graph that is being captured: `torch.cuda.CUDAGraph`, or a fake."""

    def capture_end(self) -> None:
        """End the capture."""


@contextmanager
def capture_ending(graph: Capture) -> Iterator[None]:
    """End a capture that has begun, also where the work inside fails.

    If that fails at once, because memory is full, PyTorch warns that the graph is empty: the error tells what happened.
    """
    try:
        yield
    except BaseException:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph.capture_end()
        raise
    graph.capture_end()
