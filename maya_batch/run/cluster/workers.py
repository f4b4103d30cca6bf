"""Gives a run an engine with workers, where the machine's settings ask for them."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from maya_batch.audio.waveform_cache import Decoder
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Engine
from maya_batch.errors import MachineError, UsageError
from maya_batch.messages.plural import plural
from maya_batch.run.cluster.cluster_engine import ClusterEngine
from maya_batch.run.cluster.crew import Crew
from maya_batch.run.cluster.messages import CodecJob, EngineSettings, Job
from maya_batch.run.cluster.ray_session import opened_ray
from maya_batch.run.cluster.received_waveforms import ReceivedWaveforms, ReceivingCodec
from maya_batch.run.loading import Loaders

log = logging.getLogger(__name__)

#: CPU shares that Ray offers on this machine at least. They only count workers: a worker on a GPU takes one.
_CPU_SHARES = 64


@contextmanager
def with_workers(machine: Machine, loaders: Loaders) -> Iterator[Loaders]:
    """The loaders of a run: as given, or such that its engine has workers. They end with the run, unless they were
    given: several books share them.

    Raises:
        UsageError: the settings ask for workers and for one GPU by its number.
    """
    if loaders.workers is not None or (machine.workers is None and machine.ray_address is None):
        yield loaders
        return
    if machine.device.startswith("cuda:"):
        raise UsageError(f"--device {machine.device} names one GPU; with --workers use --device cuda")
    with ExitStack() as stack:
        loader = RayWorkers(machine, loaders, stack)
        threaded = True if loaders.threaded is None else loaders.threaded
        yield replace(loaders, workers=loader, codec=loader.load_codec, threaded=threaded)


class RayWorkers:
    """Loads engines and the codec on workers."""

    def __init__(self, machine: Machine, loaders: Loaders, stack: ExitStack) -> None:
        """`loaders` load the engine of a worker, there, and a codec; `stack` ends the workers and Ray."""
        self._machine, self._loaders, self._stack = machine, loaders, stack
        self._ray: Any = None
        self._received = ReceivedWaveforms()
        self._crew: Crew | None = None

    def load(
        self,
        checkpoint: Checkpoint,
        identity: Callable[[], str],
        settings: EngineSettings,
        codec: Callable[[], tuple[Checkpoint, str]],
    ) -> Engine:
        """Start workers, and load the checkpoint of this identity on each, and on GPUs the `codec`, with its identity.

        Raises:
            MachineError: Ray is not installed or does not start, there are too few GPUs, or no worker loads the engine.
            UsageError: as the engine raises it on all workers.
        """
        machine = self._machine
        cores = len(os.sched_getaffinity(0))
        if self._ray is None:
            wanted = machine.workers if isinstance(machine.workers, int) else 0
            shares = max(cores, wanted, _CPU_SHARES)
            self._ray = self._stack.enter_context(opened_ray(machine.ray_address, shares, self._visible_gpus()))
        count, resources = self._shares(cores)
        device = "cuda" if resources["num_gpus"] else "cpu"
        log.info("Starting %s (%s)", plural(count, "worker"), "GPU" if device == "cuda" else "CPU")
        job = Job(self._loaders.engine, checkpoint, replace(settings, device=device), self._codec_job(codec, device))
        if self._crew is not None:
            self._crew.close()  # the next ones have its place
        self._crew = crew = Crew(self._ray, job, resources, count, self._loaders.patience)
        self._stack.callback(crew.close)
        crew.load(identity())
        return ClusterEngine(crew, self._received)

    def _codec_job(self, codec: Callable[[], tuple[Checkpoint, str]], device: str) -> CodecJob | None:
        """What workers decode with, if they do."""
        self._received.folder = None
        if not workers_decode(device):
            return None
        checkpoint, identity = codec()
        self._received.folder = checkpoint.path
        return CodecJob(self._loaders.codec, checkpoint, identity)

    def load_codec(self, folder: Path, layout: TokenLayout, device: str) -> Decoder:
        """The codec in this folder, which decodes what no worker has decoded.

        Raises:
            MachineError: as the codec's loader does.
        """
        return ReceivingCodec(self._loaders.codec(folder, layout, device), self._received, folder)

    def _visible_gpus(self) -> int:
        """The GPUs of this machine that a run without workers could use."""
        if self._machine.device == "cpu" or self._machine.ray_address is not None:
            return 0
        import torch

        return torch.cuda.device_count()

    def _shares(self, cores: int) -> tuple[int, dict[str, float]]:
        """The number of workers, and what each takes of the machines."""
        machine, total = self._machine, self._ray.cluster_resources()
        gpus = int(total.get("GPU", 0)) if machine.device != "cpu" else 0
        asked = machine.workers if isinstance(machine.workers, int) else None
        if machine.device == "cuda" and not gpus:
            raise MachineError("--workers: there is no GPU; use --device cpu for workers on CPUs")
        if gpus:
            if machine.ray_address is None and asked is not None and asked > gpus:
                raise MachineError(f"--workers {asked}: this machine has {plural(gpus, 'GPU')}")
            return asked or gpus, {"num_gpus": 1, "num_cpus": 1}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"] and "CPU" in node["Resources"]]
        if not nodes:
            raise MachineError("--workers: no machine of the cluster offers a CPU; start Ray there with --num-cpus")
        if machine.ray_address is not None:
            cores = int(min(node["CPU"] for node in nodes))
        count = asked or len(nodes)
        on_a_node = -(-count // len(nodes))
        return count, {"num_gpus": 0, "num_cpus": max(cores // on_a_node, 1)}


def workers_decode(device: str) -> bool:
    """Whether workers on this kind of device decode what they generate: CPUs have enough to do without."""
    return device == "cuda"
