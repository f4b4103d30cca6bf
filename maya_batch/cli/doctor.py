"""Is this machine fit to render? Each check runs the thing itself and says what it saw."""

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from maya_batch.audio.ffmpeg import FfmpegError, ffmpeg_program, run
from maya_batch.checkpoint.locate import DEMO, MAYA1, SNAC_24KHZ, Kind, find_checkpoint
from maya_batch.errors import MachineError, MayaBatchError, first_line
from maya_batch.messages.install_hint import install_hint
from maya_batch.quality.recognizers import default_recognizer, recognizer_installed, recognizers_here
from maya_batch.quality.whisper import load_recognizer

if TYPE_CHECKING:
    import torch

_LLAMA_CPP = "llama-cpp-python"


@dataclass(frozen=True)
class Check:
    """One look at the machine. `needed` ones that fail keep any book from being rendered."""

    name: str
    ok: bool
    seen: str
    needed: bool = True


def checks() -> Iterator[Check]:
    """All checks, the quick ones first."""
    yield Check("Python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield Check("disk", free > 1, f"{free:.0f} GiB free here")
    yield _ffmpeg()
    torch = _torch()
    yield torch
    if torch.ok:
        yield _cuda()
        yield from _kernels()
        yield from _bitsandbytes()
        yield _llama_cpp()
    yield _checkpoint(DEMO, "model")
    yield _checkpoint(DEMO, "codec")
    yield _checkpoint(MAYA1, "model", needed=False)
    yield _checkpoint(SNAC_24KHZ, "codec", needed=False)
    yield _recognizer()


def _ffmpeg() -> Check:
    """MP3 is written by the ffmpeg that imageio-ffmpeg brings."""
    try:
        has_mp3 = b"libmp3lame" in run(["-encoders"])
    except (ImportError, FfmpegError, MachineError) as error:
        return Check("ffmpeg", False, f"does not run: {error}")
    return Check("ffmpeg", has_mp3, f"{ffmpeg_program()}, with{'' if has_mp3 else 'out'} MP3")


def _torch() -> Check:
    try:
        import torch
        import transformers

        total = float(torch.ones(8, 8).matmul(torch.ones(8, 8)).sum())
    except (ImportError, OSError, RuntimeError) as error:
        return Check("torch", False, f"does not load: {first_line(error)}")
    seen = f"torch {torch.__version__}, transformers {transformers.__version__}, {torch.get_num_threads()} threads"
    return Check("torch", total == 512.0, seen)


def _cuda() -> Check:
    """The demo voice does not need CUDA; Maya1 is too slow without it."""
    import torch

    if not torch.cuda.is_available():
        why = "this PyTorch was built without CUDA" if torch.version.cuda is None else "PyTorch sees no GPU"
        return Check("CUDA", False, why, needed=False)
    seen = []
    try:
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            major, minor = torch.cuda.get_device_capability(index)
            name = torch.cuda.get_device_name(index)
            seen.append(f"cuda:{index} {name} ({major}.{minor}), {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    except Exception as error:  # whatever the driver says of a GPU that has failed
        return Check("CUDA", False, "; ".join([*seen, first_line(error)]), needed=False)
    return Check("CUDA", True, "; ".join(seen), needed=False)


def _kernels() -> Iterator[Check]:
    """The GPU kernels of the fast path, compiled and run for Maya1's shape; nothing where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return
    checks = (
        ("GPU kernels", _compile_kernels, "install gcc and python3-dev to render faster"),
        ("4-bit GPU kernel", _compile_4_bit, "update PyTorch and the driver to render 4-bit weights faster"),
    )
    for name, compiles, advice in checks:
        try:
            half = torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
            said = compiles(half, torch.device("cuda"))
        except Exception as error:  # whatever a C compiler, the loader or the driver say
            yield Check(name, False, f"{first_line(error)}; {advice}", needed=False)
        else:
            yield Check(name, True, said, needed=False)


def _compile_kernels(dtype: "torch.dtype", device: "torch.device") -> str:
    from maya_batch.engine.kernels.compilation import compile_kernels

    compile_kernels(hidden=3072, heads=24, kv_heads=8, head_dim=128, dtype=dtype, device=device, form="plain")
    return "compiled and run"


def _compile_4_bit(dtype: "torch.dtype", device: "torch.device") -> str:
    from maya_batch.engine.kernels.nf4_matmul import compile_for, is_fast_on

    if not is_fast_on(device):
        return "none for this GPU, on which bitsandbytes multiplies"
    compile_for(dtype, device)
    return "compiled and run"


def _bitsandbytes() -> Iterator[Check]:
    """Its 4-bit product, run and compared with the plain one, on the CPU and on the GPU where there is one."""
    import torch

    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        name = f"4-bit on {device}"
        try:
            import bitsandbytes

            torch_device = torch.device(device)
            generator = torch.Generator().manual_seed(0)
            weight = torch.randn(256, 256, generator=generator)
            inputs = torch.randn(4, 256, generator=generator).to(torch_device, torch.bfloat16)
            layer = bitsandbytes.nn.Linear4bit(256, 256, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
            layer.load_state_dict({"weight": weight})
            layer = layer.to(torch_device)
            with torch.inference_mode():
                result = layer(inputs).float().cpu()
            exact = inputs.float().cpu() @ weight.T
            error = float((result - exact).norm() / exact.norm())
        except Exception as problem:  # as above
            yield Check(name, False, first_line(problem), needed=False)
            continue
        # nf4 keeps a normal weight to about 9 %.
        yield Check(name, error < 0.2, f"bitsandbytes {bitsandbytes.__version__} ran, {error:.0%} off", needed=False)


def _llama_cpp() -> Check:
    """What the build of llama.cpp that runs GGUF files can use. A GPU that only PyTorch can use makes it fail."""
    import torch

    from maya_batch.engine.ggml_devices import cuda_build_hint, ggml_devices
    from maya_batch.engine.llama_library import llama_library

    if find_spec("llama_cpp") is None:
        return Check("llama.cpp", False, f"not installed: {install_hint('gguf')}", needed=False)
    try:
        library = llama_library()
        gpus = [f"{device.name} {device.description}" for device in ggml_devices(library) if device.is_gpu]
        features = _features(library.functions.llama_print_system_info())
    except (MachineError, AttributeError, OSError) as error:
        return Check("llama.cpp", False, first_line(error), needed=False)
    seen = f"llama-cpp-python {version(_LLAMA_CPP)}, CPU with {features}, GPU: {', '.join(gpus) or 'none'}"
    if torch.cuda.is_available() and not gpus:
        how = cuda_build_hint()
        return Check("llama.cpp", False, f"{seen}; to use the GPU, install the CUDA toolkit and run: {how}", False)
    return Check("llama.cpp", True, seen, needed=False)


def _features(system_info: bytes) -> str:
    """What is on in llama.cpp's list, like `CPU : AVX = 1 | AVX2 = 1 | OPENMP = 1 | `."""
    parts = [part.rpartition(":")[2].partition("=") for part in system_info.decode("utf-8", "replace").split("|")]
    on = [name.strip() for name, _, value in parts if value.strip() not in ("", "0")]
    return " ".join(on) or "no special instructions"


def _recognizer() -> Check:
    """Which models of faster-whisper, which transcribe the takes, lie on this disk."""
    if not recognizer_installed():
        return Check("recognizer", False, f"not installed: {install_hint('verify')}", needed=False)
    try:
        here = recognizers_here()
    except (ImportError, OSError, RuntimeError) as error:
        return Check("recognizer", False, f"does not load: {first_line(error)}", needed=False)
    wanted = default_recognizer("en")
    if not here:
        return Check("recognizer", False, f"no model here: maya-batch fetch --recognizer {wanted}", needed=False)
    import torch

    if torch.cuda.is_available():
        try:
            load_recognizer(here[0], "cuda", "en")
        except MayaBatchError as error:
            return Check("recognizer", False, f"{', '.join(here)}; not on the GPU: {error}", needed=False)
    return Check("recognizer", True, ", ".join(here), needed=False)


def _checkpoint(name: str, kind: Kind, needed: bool = True) -> Check:
    """Whether a model or codec lies whole on this disk."""
    try:
        checkpoint = find_checkpoint(name, kind)
    except MayaBatchError as error:
        return Check(f"{kind} {name}", False, str(error), needed)
    size = sum(path.stat().st_size for path in checkpoint.files()) / 2**20
    return Check(f"{kind} {name}", True, f"{checkpoint.path}, {size:.0f} MiB", needed)
