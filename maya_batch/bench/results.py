"""The results of a benchmark: a table, JSON, and the speed that `plan` estimates with."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from maya_batch.book.machine_speed import Speed
from maya_batch.checkpoint.token_layout import SLOTS

if TYPE_CHECKING:
    from maya_batch.bench.measured_run import Run

#: The width of the table's first column; a longer name makes it wider.
_NAME_WIDTH = 32


@dataclass(frozen=True)
class Metrics:
    """The metrics of a run, named as `bench --json` prints them.

    `x_realtime` is for the whole render without loading the model. Speeds do not count padding.
    """

    engine: str
    device: str
    dtype: str
    quantization: str
    kv_cache: str
    """The format of keys and values: model or int8."""
    hours: float
    rows: float
    """The mean number of sequences decoded together."""
    most_rows: int
    """The most sequences decoded together."""
    tokens_per_s: float
    x_realtime: float
    ms_per_step: float
    floor_share: float
    """The share of the decoding time for reading weights, keys and values once a step at the measured bandwidth; 0 if
    that is 0.
    """
    bandwidth_gb_per_s: float
    """Of a copy; 0 on a GPU that only llama.cpp sees."""
    packing_share: float | None
    """The time that the same sequences would take if they were packed perfectly, longest first, divided by the time
    that they took; None if it cannot be estimated.
    """
    memory: str
    """Whose memory follows: GPU or process."""
    peak_gib: float
    planned_gib: float
    gpu_waited: float
    """The share of the frames that an idle GPU waited for."""
    restarts: int
    """Preempted sequences."""
    start_s: float
    """From the start of the process to the first frame."""
    stages: dict[str, float]
    baselines: dict[str, dict[str, float]]

    @classmethod
    def of(cls, run: "Run", baselines: dict[str, dict[str, float]]) -> "Metrics":
        """The metrics of a measured run."""
        model, finishing = run.stages["model"], run.stages["finishing"]
        return cls(
            engine=run.engine,
            device=run.device,
            dtype=run.dtype,
            quantization=run.quantization,
            kv_cache=run.kv_cache,
            hours=round(run.seconds_of_speech / 3600, 3),
            rows=round(run.sequences, 1),
            most_rows=run.max_sequences,
            tokens_per_s=round(run.tokens / model, 1),
            x_realtime=round(run.seconds_of_speech / (model + finishing), 2),
            ms_per_step=round(model / run.steps * 1e3, 3),
            floor_share=round(run.bytes_read / run.bandwidth / model, 3) if run.bandwidth else 0.0,
            bandwidth_gb_per_s=round(run.bandwidth / 1e9, 1),
            packing_share=None if run.packing_share is None else round(run.packing_share, 3),
            memory=run.memory,
            peak_gib=round(run.peak_bytes / 2**30, 2),
            planned_gib=round(run.planned_bytes / 2**30, 2),
            gpu_waited=round(run.gpu_waits * SLOTS / run.steps, 4),
            restarts=run.preemptions,
            start_s=round(run.first_frame, 1),
            stages={name: round(seconds, 2) for name, seconds in run.stages.items()},
            baselines=baselines,
        )

    def __str__(self) -> str:
        rows = [*self._rows(), *self._baseline_rows()]
        width = max(_NAME_WIDTH, *(len(name) + 1 for name, _ in rows))
        cache = "" if self.kv_cache == "model" else f"KV cache {self.kv_cache}, "
        head = f"{self.device}, {self.dtype}, quantization {self.quantization}, {cache}{self.hours:.3g} hours of speech"
        return "\n".join([head, "", *(f"{name:{width}}{value}" for name, value in rows)])

    def _rows(self) -> Iterator[tuple[str, str]]:
        """The lines of the table about the run: a name, and a number with its unit or a note after it."""
        yield "x real time, whole render", f"{self.x_realtime:10.1f}"
        yield "tokens/s", f"{self.tokens_per_s:10.0f}"
        yield "batch size, mean (max)", f"{self.rows:10.1f} ({self.most_rows})"
        yield "ms/step", f"{self.ms_per_step:10.2f}"
        if self.bandwidth_gb_per_s:
            yield "share of the bandwidth floor", f"{self.floor_share:10.2f} (of {self.bandwidth_gb_per_s:.0f} GB/s)"
        if self.packing_share is not None:
            yield "share of perfect packing", f"{self.packing_share:10.2f}"
        yield "start to first frame, s", f"{self.start_s:10.1f}"
        if self.peak_gib:
            yield f"peak {self.memory} memory, GiB", f"{self.peak_gib:10.2f} ({self.planned_gib:.2f} planned)"
            if self.memory == "GPU":
                yield "frames the GPU waited for", f"{self.gpu_waited:10.2%}, preemptions {self.restarts}"
        for name, seconds in self.stages.items():
            yield f"stage {name}, s", f"{seconds:10.1f}"

    def _baseline_rows(self) -> Iterator[tuple[str, str]]:
        for name, baseline in self.baselines.items():
            times = self.tokens_per_s / baseline["tokens_per_s"]
            yield (
                f"against {name} (batch size {baseline['rows']:.0f})",
                f"{times:10.1f} times its {baseline['tokens_per_s']:.0f} tokens/s",
            )

    def as_json(self) -> str:
        """All metrics, as JSON."""
        return json.dumps(asdict(self), indent=2)

    @property
    def speed(self) -> Speed:
        """The speed that `plan` estimates with."""
        return Speed(self.device, self.x_realtime, self.start_s)
