"""Starts CUDA without PyTorch, which another thread is importing meanwhile."""

import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def cuda_context(device: str) -> Iterator[None]:
    """Create the context of a GPU during the block, in which PyTorch is imported and begins to use it.

    PyTorch would create it, too, but after its import, and no other thread could import anything meanwhile: 0.9 s of
    the start on a host with an H200. `device` is as for `choose_device`. Errors are ignored: PyTorch tells them.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cuda"):
        yield
        return
    with ThreadPoolExecutor(1) as pool:
        context = pool.submit(_retain, int(number) if number.isdecimal() else 0)
        yield
        release = context.result()
    release()  # PyTorch holds it now; if it does not, the GPU gets its memory back


def _retain(number: int) -> Callable[[], object]:
    """Create the context that all libraries share of the GPU of this number; returns what gives it up again."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return lambda: None  # no NVIDIA driver
    device, context = ctypes.c_int(), ctypes.c_void_p()
    failed = (
        cuda.cuInit(0)
        or cuda.cuDeviceGet(ctypes.byref(device), number)
        or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    )
    return (lambda: None) if failed else lambda: cuda.cuDevicePrimaryCtxRelease_v2(device)
