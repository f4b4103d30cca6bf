import errno
import warnings
from pathlib import Path

import pytest
import torch

from maya_batch.errors import GpuLostError, MachineError
from maya_batch.torch_errors import (
    capture_ending,
    is_gpu_failure,
    out_of_memory,
    translated_load_errors,
    translated_torch_errors,
)
from maya_batch.wording import SAVED, model_failed

ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported\n"


def told(error: BaseException) -> tuple[MachineError, list[bool]]:
    lost: list[bool] = []
    with pytest.raises(MachineError) as caught, translated_torch_errors(lambda: lost.append(True)):
        raise error
    return caught.value, lost


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("an illegal memory access was encountered"),
        torch.AcceleratorError(ASSERT),
        RuntimeError(ASSERT),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_a_gpu_that_failed_is_of_no_use_any_more(error: RuntimeError) -> None:
    assert is_gpu_failure(error)
    failure, lost = told(error)
    assert isinstance(failure, GpuLostError)
    assert (failure.exit_code, lost) == (5, [True])
    assert str(failure).startswith("the GPU failed (")
    assert str(failure).endswith(f"); {SAVED}")
    assert "\n" not in str(failure)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 8 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_memory_that_is_full_is_said_and_the_gpu_still_works(error: Exception) -> None:
    assert not is_gpu_failure(error)
    failure, lost = told(error)
    assert str(failure).startswith("the memory is full")
    assert "--batch-size" in str(failure)
    assert (failure.exit_code, lost) == (5, [])


def test_other_failures_of_pytorch_are_one_line() -> None:
    failure, lost = told(RuntimeError("mat1 and mat2 shapes cannot be multiplied\nC++ trace"))
    assert str(failure) == (model_failed("mat1 and mat2 shapes cannot be multiplied"))
    assert (failure.exit_code, lost) == (5, [])


def test_a_thread_that_the_system_does_not_give_is_said() -> None:
    failure, lost = told(RuntimeError("can't start new thread"))
    assert str(failure).startswith("the system refuses a new thread")
    assert "ulimit -u" in str(failure)
    assert (failure.exit_code, lost) == (5, [])


def test_a_full_memory_is_known_behind_what_it_caused() -> None:
    cause = ImportError("libopenblas.so: failed to map segment from shared object")
    behind = ImportError("Importing the numpy C-extensions failed")
    behind.__cause__ = cause
    assert out_of_memory(behind)
    assert out_of_memory(RuntimeError("can't start new thread"))
    cause.__cause__ = behind
    assert not any(map(out_of_memory, (None, ValueError("out of memory"), ImportError("no"), OSError("x"))))


class PanicException(BaseException):
    """As those of Rust are called."""


@pytest.mark.parametrize("error", [ValueError("two\nlines"), AssertionError(), PanicException("oh"), RecursionError()])
def test_whatever_fails_in_loading_is_said_of_its_files(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught, translated_load_errors(tmp_path, "the model"):
        raise error
    assert caught.value.__cause__ is error
    assert str(caught.value).startswith(f"{tmp_path}: the model does not load (")
    assert str(caught.value).endswith("); fetch it again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [MachineError("no"), MemoryError(), RuntimeError(ASSERT), KeyboardInterrupt()])
def test_a_full_memory_in_loading_is_none_of_its_files(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, translated_load_errors(tmp_path, "the model"):
        raise error
    assert caught.value is error


def test_a_failure_without_words_has_a_name() -> None:
    assert "(RuntimeError)" in str(told(RuntimeError())[0])


@pytest.mark.parametrize(
    "error",
    [
        MachineError("no"),
        ValueError("a mistake of ours"),
        NotImplementedError("not yet"),
        RecursionError("maximum recursion depth exceeded"),
        ImportError("no module"),
        FileNotFoundError("x"),
        KeyboardInterrupt(),
    ],
)
def test_all_else_goes_on_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, translated_torch_errors(lambda: None):
        raise error
    assert caught.value is error


class Graph:
    """Ends as PyTorch's does if nothing was captured."""

    ends = 0

    def capture_end(self) -> None:
        self.ends += 1
        warnings.warn("The CUDA Graph is empty.", stacklevel=1)


def test_a_capture_that_fails_at_once_ends_without_another_warning() -> None:
    graph, full = Graph(), torch.OutOfMemoryError("full")
    with pytest.raises(torch.OutOfMemoryError) as caught, capture_ending(graph):
        raise full
    assert caught.value is full
    assert graph.ends == 1


def test_an_empty_capture_that_did_not_fail_is_warned_of() -> None:
    graph = Graph()
    with pytest.warns(UserWarning, match="empty"), capture_ending(graph):
        pass
    assert graph.ends == 1
