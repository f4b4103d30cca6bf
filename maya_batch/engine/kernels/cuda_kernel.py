"""Compiles and runs kernels in CUDA C++ with cuda-bindings, which PyTorch for CUDA brings along on Linux.

No CUDA toolkit is needed, whose headers PyTorch's own `torch.cuda._compile_kernel` wants.
"""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import torch


def compiled(source: str, names: Mapping[str, int | str], capability: tuple[int, int]) -> bytes:
    """Code, for GPUs of a compute capability, of CUDA C++ in which `names` are defined.

    Raises:
        ImportError: cuda-bindings is not installed.
        RuntimeError: it does not compile.
    """
    from cuda.bindings import nvrtc

    options = [
        "--gpu-architecture=sm_{}{}".format(*capability),
        *(f"-D{name}={value}" for name, value in names.items()),
    ]
    program = _checked(nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], []))
    try:
        (result,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        if result:
            log = bytes(_checked(nvrtc.nvrtcGetProgramLogSize(program)))
            _checked(nvrtc.nvrtcGetProgramLog(program, log))
            raise RuntimeError(log.rstrip(b"\0").decode(errors="replace") or result.name)
        code = bytes(_checked(nvrtc.nvrtcGetCUBINSize(program)))
        _checked(nvrtc.nvrtcGetCUBIN(program, code))
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(program)


class CudaKernel:
    """A kernel of compiled code on one GPU, where it stays until the process ends."""

    def __init__(self, code: bytes, name: str, threads: int, shared_bytes: int, device: torch.device) -> None:
        """The kernel `name`, which runs in blocks of `threads`, each with `shared_bytes` of shared memory.

        Raises:
            RuntimeError: the driver does not load it.
        """
        from cuda.bindings import driver

        self._threads, self._shared_bytes, self._device = threads, shared_bytes, device
        with torch.cuda.device(device):
            self._module = _checked(driver.cuModuleLoadData(code))
            self._kernel = _checked(driver.cuModuleGetFunction(self._module, name.encode()))
            self._launch = driver.cuLaunchKernel
            most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            _checked(driver.cuFuncSetAttribute(self._kernel, most, shared_bytes))

    def run(self, blocks: int, arguments: Sequence[torch.Tensor | int]) -> None:
        """Run it on the current stream, with pointers to tensors and with whole numbers of 32 bits.

        Raises:
            RuntimeError: the driver does not start it.
        """
        values = tuple(each.data_ptr() if isinstance(each, torch.Tensor) else each for each in arguments)
        kinds = tuple(ctypes.c_void_p if isinstance(each, torch.Tensor) else ctypes.c_int for each in arguments)
        stream = torch.cuda.current_stream(self._device).cuda_stream
        grid, block = (blocks, 1, 1), (self._threads, 1, 1)
        _checked(self._launch(self._kernel, *grid, *block, self._shared_bytes, stream, (values, kinds), 0))


def _checked(answer: tuple[Any, ...]) -> Any:
    """What a call returned besides its result.

    Raises:
        RuntimeError: the result is an error.
    """
    result, *values = answer
    if result:
        raise RuntimeError(f"CUDA: {result.name}")
    return values[0] if values else None
