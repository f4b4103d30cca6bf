"""A GGUF model in llama.cpp, and a context: the KV cache and buffers of one batch of sequences."""

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.engine.llama_library import llama_library
from maya_batch.errors import MachineError

#: Positions of a sequence in llama.cpp's cache are a multiple of this.
POSITION_STRIDE = 256

#: Tokens of one sequence that go through the model together. It must not depend on the batch: in other portions, a
#: prompt's products are summed in another order.
PROMPT_TOKENS = 128

#: The most sequences of a context, llama.cpp's LLAMA_MAX_SEQ.
MOST_SEQUENCES = 256

#: ggml's numbers for these formats of keys and values, and llama.cpp's for flash attention off and chosen by itself.
_F32, _F16 = 0, 1
_FLASH_OFF, _FLASH_AUTO = 0, -1

#: llama.cpp's ways to load: read into memory (then the memory plan knows what is left), or as it chooses.
_LOAD_INTO_MEMORY, _LOAD_AUTO = 0, -1

#: What llama_decode returns besides 0.
_FAILURES = {
    1: "its cache has no room for the sequences",
    2: "it was stopped",
    -1: "the batch is invalid",
    -2: "the memory is full",
}


class LlamaModel:
    """A loaded model. Its memory is freed with the object."""

    def __init__(self, path: Path, *, gpu_layers: int, main_gpu: int = 0, vocabulary_only: bool = False) -> None:
        """Load the file; `gpu_layers` layers, the last ones, go to the GPU number `main_gpu`.

        Raises:
            MachineError: llama.cpp refuses the file, or the memory is too small for it.
        """
        library = llama_library()
        functions = library.functions
        parameters = functions.llama_model_default_params()
        parameters.n_gpu_layers, parameters.main_gpu = gpu_layers, main_gpu
        parameters.split_mode = functions.LLAMA_SPLIT_MODE_NONE
        parameters.load_mode = _LOAD_AUTO if gpu_layers or vocabulary_only else _LOAD_INTO_MEMORY
        parameters.vocab_only = vocabulary_only
        parameters.use_extra_bufts = library.may_rearrange_weights
        library.forget_errors()
        self.pointer = functions.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.pointer:
            raise MachineError(f"{path}: the model does not load ({library.last_error()}); fetch or convert it again")
        self.library, self.path, self.gpu_layers = library, path, gpu_layers
        self.vocabulary: Any = functions.llama_model_get_vocab(self.pointer)
        self.tokens: int = functions.llama_vocab_n_tokens(self.vocabulary)
        weakref.finalize(self, functions.llama_model_free, self.pointer)


@dataclass(frozen=True)
class ContextSize:
    """The size of a context: `sequences`, each of at most `positions`."""

    sequences: int
    positions: int
    exact: bool
    """Keys and values in float32 instead of float16, for weights in float32."""

    def holds(self, other: "ContextSize") -> bool:
        """Whether a context of this size is large enough for the other one."""
        enough = self.sequences >= other.sequences and self.positions >= other.positions
        return enough and self.exact == other.exact


class LlamaContext:
    """A context, and a batch for it in arrays that llama.cpp reads in place. Its memory is freed with the object.

    Each sequence has its own stream of the cache. llama.cpp computes streams together only if their numbers follow each
    other without a gap.
    """

    def __init__(self, model: LlamaModel, size: ContextSize, threads: int) -> None:
        """Allocate the cache and the buffers.

        Raises:
            MachineError: the memory is too small.
        """
        functions, library = model.library.functions, model.library
        tokens = max(PROMPT_TOKENS, size.sequences)
        parameters = functions.llama_context_default_params()
        parameters.n_ctx, parameters.n_seq_max = size.positions * size.sequences, size.sequences
        parameters.n_batch = parameters.n_ubatch = tokens
        parameters.n_outputs_max = size.sequences
        parameters.kv_unified = False
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.type_k = parameters.type_v = _F32 if size.exact else _F16
        parameters.flash_attn_type = _FLASH_AUTO if model.gpu_layers else _FLASH_OFF
        parameters.op_offload = parameters.offload_kqv = bool(model.gpu_layers)
        parameters.no_perf = True
        library.forget_errors()
        self._pointer = functions.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise MachineError(f"llama.cpp has no memory for {size.sequences} sequences ({library.last_error()})")
        weakref.finalize(self, functions.llama_free, self._pointer)
        self.size, self._model, self._functions = size, model, functions
        self._memory = functions.llama_get_memory(self._pointer)
        self._token, self._position, self._sequence = (np.zeros(tokens, dtype=np.int32) for _ in range(3))
        self._counts: NDArray[np.int32] = np.ones(tokens, dtype=np.int32)
        self._wanted: NDArray[np.int8] = np.zeros(tokens, dtype=np.int8)
        # Each token names its sequences by a pointer to an array of numbers; each array here has one number.
        self._sequences = self._sequence.ctypes.data + 4 * np.arange(tokens, dtype=np.uint64)
        self._batch = functions.llama_batch(
            0,
            self._token.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            None,
            self._position.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            self._counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            self._sequences.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def prefill(self, sequence: int, tokens: Sequence[int]) -> None:
        """Write these tokens to the cache as the start of a sequence.

        Raises:
            MachineError: as in `decode`.
        """
        self.clear(sequence)
        for start in range(0, len(tokens), PROMPT_TOKENS):
            part = tokens[start : start + PROMPT_TOKENS]
            self._run(part, range(start, start + len(part)), sequence, wanted=False)

    def decode(
        self, tokens: NDArray[np.int64], positions: NDArray[np.int64], sequences: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Decode one token of each of these sequences, whose numbers follow each other.

        Returns the logits [sequences, vocabulary], a view that is valid until the next call.

        Raises:
            MachineError: llama.cpp fails.
        """
        self._run(tokens, positions, sequences, wanted=True)
        logits = self._functions.llama_get_logits(self._pointer)
        return np.ctypeslib.as_array(logits, (len(tokens), self._model.tokens))

    def clear(self, sequence: int) -> None:
        """Empty the cache of a sequence."""
        self._functions.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def move(self, source: int, target: int) -> None:
        """Move the cache of a sequence to another number."""
        self.clear(target)
        self._functions.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self.clear(source)

    def _run(
        self,
        tokens: Sequence[int] | NDArray[np.int64],
        positions: Sequence[int] | NDArray[np.int64],
        sequences: int | NDArray[np.int64],
        wanted: bool,
    ) -> None:
        count = len(tokens)
        if count > len(self._token):  # llama.cpp would read beyond the arrays
            raise ValueError(f"{count} tokens in a batch of at most {len(self._token)}")
        self._token[:count], self._position[:count], self._sequence[:count] = tokens, positions, sequences
        self._wanted[:count] = wanted
        self._batch.n_tokens = count
        self._model.library.forget_errors()
        failed = self._functions.llama_decode(self._pointer, self._batch)
        if failed:
            why = _FAILURES.get(failed) or self._model.library.last_error()
            raise MachineError(f"llama.cpp failed while decoding ({why}); use a smaller --batch-size")
