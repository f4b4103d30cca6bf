import pytest
import torch

from maya_batch.errors import GpuLostError, MachineError
from maya_batch.failures import failures_told, is_gpu_failure

ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported\n"


def told(error: BaseException) -> tuple[MachineError, list[bool]]:
    lost: list[bool] = []
    with pytest.raises(MachineError) as caught, failures_told(lambda: lost.append(True)):
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
    assert str(failure).endswith("); what is stored stays")
    assert "\n" not in str(failure)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 8 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
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
    assert str(failure) == (
        "the model or the codec failed (mat1 and mat2 shapes cannot be multiplied); what is stored stays"
    )
    assert (failure.exit_code, lost) == (5, [])


def test_a_failure_without_words_has_a_name() -> None:
    assert "(RuntimeError)" in str(told(RuntimeError())[0])


@pytest.mark.parametrize("error", [MachineError("no"), ValueError("a mistake of ours"), KeyboardInterrupt()])
def test_all_else_goes_on_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, failures_told(lambda: None):
        raise error
    assert caught.value is error
