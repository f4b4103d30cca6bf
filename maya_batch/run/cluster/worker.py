"""A worker: an engine in a separate process, a Ray actor, whose requests come and go while it runs.

The engine's loop runs on a thread. The actor's methods are called one after the other, and return soon.
"""

import logging
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.engine.api import Engine, Generation, Hooks, Request
from maya_batch.errors import first_line
from maya_batch.run.cluster.messages import Beat, Call, Job, Loaded, Note
from maya_batch.run.cluster.worker_codec import WorkerCodec, load_worker_codec
from maya_batch.torch_errors import translated_torch_errors

#: Bytes of waveforms in an answer, if it has more than one: an answer of many takes would fill Ray's shared memory.
_MOST_BYTES = 8 * 2**20

#: The longest that `exchange` waits, in seconds. Takes that end meanwhile travel together, and it is far below the time
#: that the waiting requests last (`Deal`).
PERIOD = 0.2


class _DroppedError(BaseException):
    """The driver has left this call of `generate`. Not an Exception, which an engine could take for a failure."""


class EngineWorker:
    """The actor. It knows nothing of Ray."""

    def __init__(self, job: Job) -> None:
        self._job, self._notes = job, _Notes()
        self._engine: Engine | None = None
        self._codec: WorkerCodec | None = None
        # All below is read and changed with the lock in `_changed`.
        self._changed = threading.Condition()
        self._call: Call | None = None
        self._inbox: list[Request] = []
        self._noise_seeds: dict[str, int] = {}
        """Of the requests of this call that are to be decoded here, by key."""
        self._decoding: dict[str, Generation] = {}
        """Those of this call that the codec has not delivered yet, by key."""
        self._finished: deque[tuple[Generation, NDArray[np.float32] | None]] = deque()
        """With their samples, if they were decoded here."""
        self._unfinished = 0
        """Requests of this call that the driver has no generation of."""
        self._failure = ""
        self._frames, self._idle = 0, 0.0
        self._idle_since: float | None = None

    def host(self) -> str:
        """The name of its machine: its first answer, which shows that there is room for it."""
        return platform.node()

    def load(self) -> Loaded:
        """Load the engine.

        Raises:
            MayaBatchError: the checkpoint is not on this machine, or does not load.
        """
        # Read when CUDA starts; as in `cli.main`.
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
        job = self._job
        checkpoint = find_checkpoint(job.checkpoint.name, "model", job.checkpoint.revision)
        settings = job.settings
        with ThreadPoolExecutor(1) as pool, translated_torch_errors():
            identity = pool.submit(checkpoint.identity)
            engine = settings.load(job.load, checkpoint.path)
        if job.codec is not None:
            self._codec = load_worker_codec(job.codec, engine.layout, settings.device)
        self._engine = engine
        threading.Thread(target=self._run, name="engine", daemon=True).start()
        return Loaded(
            identity=identity.result(),
            name=engine.name,
            dtype=engine.dtype,
            quantization=engine.quantization,
            kv_cache="int8" if engine.kv_cache == "int8" else "model",
            offers_int8_cache=engine.offers_int8_cache,
            batch_size=engine.batch_size,
            layout=engine.layout,
            tags=engine.tags(),
            notes=self._notes.taken(),
        )

    def ask(self, question: Callable[[Engine], Any]) -> Any:
        """Ask the engine something while it generates nothing.

        Raises:
            MayaBatchError: the engine does.
        """
        with translated_torch_errors():
            return question(self._loaded)

    def exchange(self, call: Call, requests: Sequence[Request]) -> Beat:
        """Take more requests of this call, and return the generations that have ended since the last time."""
        engine = self._loaded
        with self._changed:
            if self._call is None or self._call.number != call.number:
                self._call, self._unfinished = call, 0
                self._inbox.clear()
                self._finished.clear()
                self._decoding.clear()
                self._noise_seeds.clear()
            self._inbox += requests
            self._unfinished += len(requests)
            if self._codec is not None:
                seeds = ((request.key, request.noise_seed) for request in requests)
                self._noise_seeds.update((key, seed) for key, seed in seeds if seed is not None)
            self._changed.notify_all()
            self._changed.wait_for(self._has_much, PERIOD)
            finished, waveforms = self._told()
            self._unfinished -= len(finished)
            idle = self._idle + (0.0 if self._idle_since is None else time.monotonic() - self._idle_since)
            frames, failure = self._frames, self._failure
        stats, memory = replace(engine.stats), engine.peak_memory()
        notes = self._notes.taken()
        return Beat(finished, frames, engine.batch_size, stats, memory, idle, failure, notes, waveforms)

    def _has_much(self) -> bool:
        """Whether an answer need not wait for more."""
        waiting = sum(_bytes(samples) for _, samples in self._finished)
        return bool(self._failure) or len(self._finished) >= self._unfinished or waiting > _MOST_BYTES

    def _told(self) -> tuple[list[Generation], dict[str, NDArray[np.float32]]]:
        """What has ended and goes into an answer, with the waveforms by key.

        After a failure, which ends the worker, all codes go, also those whose samples would still have come.
        """
        generations, waveforms, size = list[Generation](), dict[str, NDArray[np.float32]](), 0
        while self._finished and (not generations or size + _bytes(self._finished[0][1]) <= _MOST_BYTES):
            generation, samples = self._finished.popleft()
            generations.append(generation)
            if samples is not None:
                waveforms[generation.key] = samples
            size += _bytes(samples)
        if self._failure:
            generations += [*(generation for generation, _ in self._finished), *self._decoding.values()]
            self._finished.clear()
            self._decoding.clear()
        return generations, waveforms

    @property
    def _loaded(self) -> Engine:
        if self._engine is None:
            raise ValueError("the worker has not loaded its engine")
        return self._engine

    def _run(self) -> None:
        """The engine's thread."""
        try:
            while True:
                with self._changed:
                    self._idle_since = time.monotonic()
                    self._changed.wait_for(lambda: self._inbox)
                    self._idle += time.monotonic() - self._idle_since
                    self._idle_since, call = None, self._call
                if call is not None:
                    self._generate(call)
        except BaseException as error:  # whatever it is, the driver must hear of it
            with self._changed:
                self._failure = first_line(error)
                self._changed.notify_all()

    def _generate(self, call: Call) -> None:
        """Generate what the inbox has, and all that comes to it before the last sequence has ended."""

        def tick() -> None:
            with self._changed:
                self._frames += 1
                if self._call is not call:
                    raise _DroppedError

        def due() -> list[Request]:
            if not self._inbox:
                return []  # without waiting for the lock at each frame
            with self._changed:
                coming, self._inbox = (self._inbox, []) if self._call is call else ([], self._inbox)
                return coming

        engine = self._loaded
        try:
            with translated_torch_errors():
                if engine.kv_cache != call.kv_cache:
                    engine.use_kv_cache(call.kv_cache)
                for generations in engine.generate(due(), call.sampling, call.decoding, Hooks(tick, later=due)):
                    for generation in generations:
                        self._decode(call, generation)
        except _DroppedError:
            return

    def _decode(self, call: Call, generation: Generation) -> None:
        """Deliver a generation, first decoded if there is a codec here."""

        def deliver(samples: NDArray[np.float32] | None = None) -> None:
            with self._changed:
                if self._decoding.get(generation.key) is generation:
                    del self._decoding[generation.key]
                    self._finished.append((generation, samples))
                    self._changed.notify_all()

        with self._changed:
            if self._call is not call:
                return
            self._decoding[generation.key] = generation
            seed = self._noise_seeds.pop(generation.key, None)
        if self._codec is None or seed is None:
            deliver()
        else:
            self._codec.decode(generation.codes, seed, deliver)


def _bytes(samples: NDArray[np.float32] | None) -> int:
    return 0 if samples is None else samples.nbytes


class _Notes(logging.Handler):
    """Keeps this program's messages until the driver gets them, which logs them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._kept: list[Note] = []
        ours = logging.getLogger("maya_batch")
        ours.addHandler(self)
        ours.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self._kept.append(Note(record.levelno, record.getMessage()))

    def taken(self) -> tuple[Note, ...]:
        """The messages since the last call."""
        self.acquire()  # as `handle` does around `emit`
        try:
            kept, self._kept = self._kept, []
        finally:
            self.release()
        return tuple(kept)
