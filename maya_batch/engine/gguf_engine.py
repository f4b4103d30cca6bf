"""The GGUF engine: llama.cpp decodes, and the same loop, sampler and scheduler as with Hugging Face draw."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from maya_batch.checkpoint.gguf_config import GgufConfig
from maya_batch.engine.api import NO_HOOKS, CacheRounding, Decoding, EngineStats, Generation, Hooks, Request, Sampling
from maya_batch.engine.batch_budget import BatchBudget, sequence_needs
from maya_batch.engine.decode_loop import DecodeLoop, probes_of
from maya_batch.engine.ggml_devices import GgmlDevice, ggml_devices
from maya_batch.engine.gguf_memory import CODEC_BYTES, context_bytes, plan_context, position_bytes
from maya_batch.engine.gguf_runner import LEAST_TOGETHER, GgufBackend
from maya_batch.engine.gguf_unconstrained import decode_unconstrained
from maya_batch.engine.host_memory import RESERVED_SHARE, peak_resident_memory, resident_memory, usable_memory
from maya_batch.engine.joining import Joining, Prompted, noting
from maya_batch.engine.llama_model import ContextSize, LlamaContext, LlamaModel
from maya_batch.engine.prompts import Prompts
from maya_batch.errors import MachineError

log = logging.getLogger(__name__)

#: The file types whose sums do not depend on the batch.
_UNQUANTIZED = ("f32", "f16", "bf16")


@dataclass(frozen=True)
class Placement:
    """Where a model is. `gpu` is None on the CPU alone; its `free` is what was free before the model was loaded."""

    threads: int
    gpu: GgmlDevice | None = None


class GgufEngine:
    """A GGUF model, loaded by llama.cpp, that generates Maya1's frames."""

    name = "gguf"
    dtype = "gguf"
    kv_cache = "model"
    offers_int8_cache = False

    def __init__(
        self, model: LlamaModel, config: GgufConfig, prompts: Prompts, placement: Placement, batch_size: int
    ) -> None:
        self._model, self._config, self._placement = model, config, placement
        self.prompts, self.layout = prompts, prompts.layout
        self.quantization, self.batch_size = config.file_type, batch_size
        self.stats = EngineStats()
        self._exact = config.file_type == "f32"
        self._least = LEAST_TOGETHER if config.file_type in _UNQUANTIZED else 1
        self._context: LlamaContext | None = None
        self._gpu_peak = 0

    def tags(self) -> tuple[str, ...]:
        """The emotion tags that are one token of this checkpoint."""
        return self.prompts.tags()

    def in_grammar_probabilities(self, requests: Sequence[Request], sampling: Sampling) -> tuple[float, ...]:
        """How likely, in the first frames of these requests, an unconstrained token is of its slot: a mean for each of
        the 7 slots.
        """
        probes = probes_of(requests, self.batch_size)
        prompts = self.prompts.of(probes)
        return self._decode_loop(probes, prompts, sampling).in_grammar_probabilities(prompts)

    def use_kv_cache(self, kv_cache: str) -> None:
        """Not for llama.cpp."""
        raise ValueError("llama.cpp has no cache of keys and values in 8 bits")

    def cache_rounding(self, requests: Sequence[Request], generations: Sequence[Generation]) -> CacheRounding:
        """Not for llama.cpp."""
        raise ValueError("llama.cpp has no cache of keys and values in 8 bits")

    def peak_memory(self) -> int:
        """The most GPU memory that the model has held, in bytes; without a GPU, the most memory of this process."""
        return self._gpu_peak if self._placement.gpu is not None else peak_resident_memory()

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        """Generate codes for all requests. They start in the order given; each is returned as soon as it ends.

        Raises:
            MachineError: the memory is too small for one sequence, a prompt leaves no room, or logits are not finite.
        """
        pending = {request.key: request for request in requests}
        decode = self._generate_constrained if decoding == "framed" else self._generate_unconstrained
        noted = noting(hooks, pending)
        while pending:
            remaining = list(pending.values())
            prompts = self.prompts.of(remaining)
            joining = Joining(sequence_needs(remaining, prompts), self.prompts, noted)
            for generations in decode(remaining, prompts, sampling, noted.tick, joining):
                for generation in generations:
                    del pending[generation.key]
                yield generations

    def _generate_constrained(
        self,
        requests: Sequence[Request],
        prompts: Sequence[list[int]],
        sampling: Sampling,
        tick: Callable[[], None] | None,
        joining: Joining,
    ) -> Iterator[list[Generation]]:
        yield from self._decode_loop(requests, prompts, sampling, tick, joining).decode(prompts)

    def _decode_loop(
        self,
        requests: Sequence[Request],
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        tick: Callable[[], None] | None = None,
        joining: Joining | None = None,
    ) -> DecodeLoop:
        context = self._context_for(requests, prompts)
        size, cost = context.size, position_bytes(self._config, self._exact)
        backend = GgufBackend(context, self.layout, self._config.weight_bytes, cost, self._least)
        sequences = min(size.sequences, self.batch_size, len(requests))
        budget = BatchBudget(sequences, size.positions, size.sequences, 0)
        return DecodeLoop(backend, self.layout, requests, sampling, budget, self.stats, tick, joining)

    def _generate_unconstrained(
        self,
        requests: Sequence[Request],
        prompts: Sequence[list[int]],
        sampling: Sampling,
        tick: Callable[[], None] | None,
        joining: Joining,
    ) -> Iterator[list[Generation]]:
        """Run one batch after the other; a batch's sequences are returned together."""
        waiting = list(zip(requests, prompts, strict=True))
        context = self._context_for(requests, prompts)
        size = min(context.size.sequences, self.batch_size)

        def joined() -> Prompted:
            all_waiting = [*joining.retries(), *waiting]
            return [*all_waiting, *(joining.later() if len(all_waiting) < size else ())]

        while waiting := joined():
            batch, waiting = waiting[:size], waiting[size:]
            together, said = zip(*batch, strict=True)
            yield decode_unconstrained(context, self.layout, together, said, sampling, self._least, tick)

    def _context_for(self, requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> LlamaContext:
        """A context that is large enough for these requests: the last one, or a new one in its place."""
        needs = sequence_needs(requests, prompts)
        # Takes are decoded to sound meanwhile; on a GPU the codec has its own share.
        clip = CODEC_BYTES if self._placement.gpu is None else 0
        present = context_bytes(self._config, self._context.size) if self._context is not None else 0
        wanted = plan_context(self._config, needs, self.batch_size, self._free_memory() + present - clip, self._exact)
        if self._context is None or not self._context.size.holds(wanted):
            self._context = None  # its memory goes to the new one
            planned = self._held() + context_bytes(self._config, wanted) + clip
            self._context = self._new_context(wanted)
            self.stats.planned_bytes = planned
            if self._placement.gpu is not None:
                self._gpu_peak = max(self._gpu_peak, self._held())
        return self._context

    def _new_context(self, size: ContextSize) -> LlamaContext:
        """A context of this size, or, where llama.cpp finds less memory than planned, of half as many sequences."""
        while True:
            try:
                return LlamaContext(self._model, size, self._placement.threads)
            except MachineError as error:
                if size.sequences <= 2:
                    raise
                fewer = replace(size, sequences=max(size.sequences // 2, 2))
                log.warning("%s; continuing with a batch size of %d", error, fewer.sequences)
                size = fewer

    def _free_memory(self) -> int:
        """Bytes that a context may take: of the GPU if all layers are there, else of the machine."""
        gpu = self._gpu_now()
        if gpu is None or self._model.gpu_layers <= self._config.layers:
            return usable_memory()
        return int(gpu.free * (1 - RESERVED_SHARE))

    def _held(self) -> int:
        """Bytes that are held before a context is made: by the model on the GPU, or by this process."""
        gpu, before = self._gpu_now(), self._placement.gpu
        return before.free - gpu.free if gpu is not None and before is not None else resident_memory()

    def _gpu_now(self) -> GgmlDevice | None:
        gpu = self._placement.gpu
        if gpu is None:
            return None
        return next(device for device in ggml_devices(self._model.library) if device.name == gpu.name)
