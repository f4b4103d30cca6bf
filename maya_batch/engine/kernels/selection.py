"""A model's layers with the GPU kernels, where these can be compiled."""

import logging

import torch
from transformers import PreTrainedModel

from maya_batch.engine.kernels.llama_layers import Llama, Products, each
from maya_batch.errors import first_line

log = logging.getLogger(__name__)


def fast_llama(model: PreTrainedModel) -> Llama | None:
    """The layers of a model as the GPU kernels compute them; None where those cannot be compiled for it.

    The log says why not, and what that costs.
    """
    device, dtype, config = torch.device(model.device), model.dtype, model.config
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return None
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    try:
        from maya_batch.engine.kernels.triton_kernels import compile_for, gate

        compile_for(heads, config.num_key_value_heads, head_dim, dtype, device)
    except Exception as error:  # Triton passes on whatever the C compiler, the loader or the driver say
        log.warning(
            "the GPU kernels do not compile (%s): rendering is slower; install a C compiler and "
            "Python's headers, on Debian `apt install gcc python3-dev`",
            first_line(error),
        )
        return None
    return Llama(model, gate, _products(model, dtype, device))


def _products(model: PreTrainedModel, dtype: torch.dtype, device: torch.device) -> Products:
    """How quantized weights are multiplied."""
    from maya_batch.engine.kernels.nf4_matmul import compile_for, levels_of, product_of

    levels = levels_of(model)
    if levels is None:
        return each
    try:
        compile_for(levels, dtype, device)
    except Exception as error:  # as above
        log.warning("the GPU kernel for 4-bit weights does not compile (%s): rendering is slower", first_line(error))
        return each
    return product_of
