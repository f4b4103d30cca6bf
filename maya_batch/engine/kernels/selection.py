"""Selects the GPU kernels for a model's layers, if they compile."""

import logging

import torch
from transformers import PreTrainedModel

from maya_batch.engine.kernels.compilation import compile_kernels
from maya_batch.engine.kernels.fp8_linear import Fp8Linear
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.kernels.operations import MOST_QUERY_HEADS
from maya_batch.errors import first_line

log = logging.getLogger(__name__)


def gpu_kernel_layers(model: PreTrainedModel, int8_cache: bool = False) -> LlamaLayers | None:
    """The layers of a model with the GPU kernels; None if these do not apply, or do not compile, which is logged.

    With `int8_cache`, keys and values are kept in 8 bits.
    """
    device, dtype, config = torch.device(model.device), model.dtype, model.config
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return None
    heads = config.num_attention_heads
    if heads > MOST_QUERY_HEADS * config.num_key_value_heads:
        log.warning("the GPU kernels take %d query heads a key head at most: rendering is slower", MOST_QUERY_HEADS)
        return None
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    fp8 = isinstance(model.model.layers[0].self_attn.o_proj, Fp8Linear)
    try:
        from maya_batch.engine.kernels import int8_attention, nf4_matmul
        from maya_batch.engine.kernels.gpu_operations import Fp8Operations, GpuOperations, Nf4Operations

        nf4 = nf4_matmul.can_multiply(model)
        shape = (heads, config.num_key_value_heads, head_dim, dtype, device)
        compile_kernels(config.hidden_size, *shape, form="fp8" if fp8 else "int8" if nf4 else "plain")
        if int8_cache:
            int8_attention.compile_for(*shape)
    except Exception as error:  # Triton passes on the errors of the C compiler, the loader and the driver
        log.warning(
            "the GPU kernels do not compile (%s): rendering is slower; install a C compiler and "
            "Python's headers, on Debian `apt install gcc python3-dev`",
            first_line(error),
        )
        return None
    if fp8:
        return LlamaLayers(model, Fp8Operations(), int8_cache)
    operations = Nf4Operations() if nf4 and _nf4_kernel_compiles(dtype, device) else GpuOperations()
    return LlamaLayers(model, operations, int8_cache)


def int8_kernel_compiles(model: PreTrainedModel) -> bool:
    """Whether the kernel for keys and values in 8 bits compiles, where the other kernels do; if not, it is logged."""
    from maya_batch.engine.kernels.int8_attention import compile_for

    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    try:
        compile_for(
            config.num_attention_heads, config.num_key_value_heads, head_dim, model.dtype, torch.device(model.device)
        )
    except Exception as error:  # as above
        log.warning("the GPU kernel for keys and values in 8 bits does not compile (%s)", first_line(error))
        return False
    return True


def _nf4_kernel_compiles(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the kernel for 4-bit weights compiles; if not, it is logged."""
    from maya_batch.engine.kernels.nf4_matmul import compile_for

    try:
        compile_for(dtype, device)
    except Exception as error:  # as above, and what a missing library says
        log.warning("the GPU kernel for 4-bit weights does not compile (%s): rendering is slower", first_line(error))
        return False
    return True
