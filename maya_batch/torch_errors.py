"""What models and codecs fail with, in mid-run and when they are loaded, told in one line."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from maya_batch.errors import GpuLostError, MachineError, MayaBatchError, first_line, is_of_a_signal

log = logging.getLogger(__name__)

#: How PyTorch's errors begin after which nothing on the GPU works any more, in its words.
_LOST = ("CUDA error", "CUDA driver error", "cuDNN error", "NVML")

#: Parts of what PyTorch, Python and the dynamic linker say where memory is short, on a GPU and on a CPU.
_NO_ROOM = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
_NO_ROOM_TO_IMPORT = ("cannot allocate memory", "failed to map segment", "cannot create shared object descriptor")

#: Python's words where the system gives it no thread: memory, or the number of processes, is limited.
_NO_THREAD = "can't start new thread"


@contextmanager
def translated_torch_errors(lost: Callable[[], None] | None = None) -> Iterator[None]:
    """RuntimeErrors of PyTorch become errors of the machine; `lost` is called where the GPU is of no use any more.

    A NotImplementedError or a RecursionError is a mistake of the program's, and goes on as it is.

    Raises:
        GpuLostError: the GPU failed, and only a new process can use it.
        MachineError: the memory is full, or PyTorch failed in another way.
    """
    try:
        yield
    except (MemoryError, ImportError, OSError) as error:
        if not out_of_memory(error):
            raise
        raise MachineError("the memory is full; ask for a smaller --batch-size, or close other programs") from error
    except RuntimeError as error:
        if not _is_of_pytorch(error):
            raise
        log.debug("%s", error, exc_info=error)
        first = first_line(error)
        if is_gpu_failure(error):
            if lost is not None:
                lost()
            raise GpuLostError(f"the GPU failed ({first}); what is stored stays") from error
        if _NO_THREAD in str(error):
            raise MachineError(
                f"the system allows no further thread ({first}): memory or the number of processes is limited; close "
                "other programs, or raise `ulimit -v` and `ulimit -u`"
            ) from error
        if out_of_memory(error):
            short = first.split(". ")[0]
            raise MachineError(f"the memory is full ({short}); ask for a smaller --batch-size") from error
        raise MachineError(f"the model or the codec failed ({first}); what is stored stays") from error


@contextmanager
def translated_load_errors(folder: Path, what: str) -> Iterator[None]:
    """Whatever fails with `what` in `folder` becomes an error that names both, but for a full memory and a lost GPU.

    The files of a checkpoint are untrusted and go through four libraries, each of which raises different errors.

    Raises:
        MachineError: it does not load.
    """
    try:
        yield
    except MayaBatchError:
        raise
    except BaseException as error:
        # What panics in Rust, as a tokenizer may, is no Exception.
        foreign = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if not foreign or is_of_a_signal(error) or out_of_memory(error) or is_gpu_failure(error):
            raise
        raise MachineError(f"{folder}: {what} does not load ({first_line(error)}); fetch it again") from error


def is_gpu_failure(error: BaseException) -> bool:
    """Whether this is an error of CUDA itself. The type is known by its name: PyTorch may not be loaded at all."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "OutOfMemoryError" in names:
        return False
    return "AcceleratorError" in names or (isinstance(error, RuntimeError) and str(error).startswith(_LOST))


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it came of, is there because memory is full or limited: Python's, the system's, that of
    a library that could not be loaded, PyTorch's, on a GPU too, or a thread that could not be started.
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
    """Whether PyTorch may have raised it: of the subclasses of RuntimeError, only its own."""
    return type(error) is RuntimeError or any(
        kind.__name__ in ("OutOfMemoryError", "AcceleratorError") for kind in type(error).__mro__
    )
