"""Loads llama.cpp's library, keeps its log off the terminal, and turns its failures into errors."""

import ctypes
import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

from maya_batch.checkpoint.gguf_writer import missing_extra
from maya_batch.errors import MachineError, first_line
from maya_batch.messages.install_hint import install_hint

log = logging.getLogger(__name__)

#: Rounds of the loop in which a thread waits before it sleeps.
_SPINS = "100"

#: ggml's log level for errors.
_ERROR = 4


class LlamaLibrary:
    """The low-level functions of llama-cpp-python, and the last errors that llama.cpp logged."""

    def __init__(self, functions: ModuleType) -> None:
        self.functions = functions
        self.ggml: ctypes.CDLL = _with_types(functions._lib)
        """The functions of ggml that llama-cpp-python does not name; libllama depends on their library."""
        self._errors: deque[str] = deque(maxlen=8)
        # The library keeps the callback's address: this object must live as long as the process does.
        self._callback = functions.llama_log_callback(self._log)
        functions.llama_log_set(self._callback, None)

    @property
    def may_rearrange_weights(self) -> bool:
        """Whether quantized weights may be kept in the order that the CPU multiplies fastest.

        Not on CPUs with AMX, for which llama.cpp was built: its products of these ended the process (segmentation fault
        in `ggml_backend_amx_mul_mat`, 0.3.36 of llama-cpp-python, the demo voice in q8_0).
        """
        return b"AMX_INT8 = 1" not in self.functions.llama_print_system_info()

    def forget_errors(self) -> None:
        """Forget what was logged before a call whose errors are wanted."""
        self._errors.clear()

    def last_error(self) -> str:
        """The first line that llama.cpp logged as an error since `forget_errors`."""
        return first_line(ValueError(self._errors[0])) if self._errors else "llama.cpp gives no reason"

    def _log(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace").strip()
        if not line:
            return
        if level == _ERROR:
            self._errors.append(line)
        log.debug("llama.cpp: %s", line)


@contextmanager
def _few_spins() -> Iterator[None]:
    """Make llama.cpp's threads wait for each other with few rounds of a loop, if nothing else was asked for.

    The library reads the variable when it is loaded. Next to two busy programs on two cores, 16 sequences then took 1.8
    times as long as alone, and 3.4 times with the 2,000 rounds of PyTorch; alone they took an eighth longer.
    """
    before = os.environ.get("GOMP_SPINCOUNT")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("GOMP_SPINCOUNT", None)
        else:
            os.environ["GOMP_SPINCOUNT"] = before


def _with_types(ggml: ctypes.CDLL) -> ctypes.CDLL:
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_name.restype = ctypes.c_char_p
    ggml.ggml_backend_dev_description.restype = ctypes.c_char_p
    return ggml


@cache
def llama_library() -> LlamaLibrary:
    """Load llama.cpp, once for the process.

    Raises:
        MachineError: llama-cpp-python is not installed, or its library does not load.
    """
    # On an abort, llama.cpp would start a debugger, for which a child process waits for ever.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    try:
        with _few_spins():
            from llama_cpp import llama_cpp
    except ModuleNotFoundError as error:
        raise missing_extra("llama-cpp-python") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise MachineError(
            f"llama.cpp's library does not load ({first_line(error)}); install it again with "
            f"`{install_hint('gguf')} --force-reinstall --no-deps llama-cpp-python`"
        ) from error
    library = LlamaLibrary(llama_cpp)  # first, because the backends log, too
    llama_cpp.llama_backend_init()
    return library
