"""The results of a benchmark: a table, JSON, and the speed that `plan` estimates with."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from maya_batch.book.machine_speed import Speed
from maya_batch.checkpoint.token_layout import SLOTS

if TYPE_CHECKING:
    from maya_batch.bench.measured_run import Run


@dataclass(frozen=True)
class Metrics:
    """The metrics of a run, named as `bench --json` prints them.

    `x_realtime` is for the whole render without loading the model. Speeds do not count padding.
    """

    device: str
    dtype: str
    quantization: str
    hours: float
    rows: float
    """The mean number of sequences decoded together."""
    most_rows: int
    """The most sequences decoded together."""
    tokens_per_s: float
    x_realtime: float
    ms_per_step: float
    floor_share: float
    """The share of the decoding time for reading weights, keys and values once a step at the measured bandwidth."""
    bandwidth_gb_per_s: float
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
            device=run.device,
            dtype=run.dtype,
            quantization=run.quantization,
            hours=round(run.seconds_of_speech / 3600, 3),
            rows=round(run.sequences, 1),
            most_rows=run.max_sequences,
            tokens_per_s=round(run.tokens / model, 1),
            x_realtime=round(run.seconds_of_speech / (model + finishing), 2),
            ms_per_step=round(model / run.steps * 1e3, 3),
            floor_share=round(run.bytes_read / run.bandwidth / model, 3),
            bandwidth_gb_per_s=round(run.bandwidth / 1e9, 1),
            peak_gib=round(run.peak_bytes / 2**30, 2),
            planned_gib=round(run.planned_bytes / 2**30, 2),
            gpu_waited=round(run.gpu_waits * SLOTS / run.steps, 4),
            restarts=run.preemptions,
            start_s=round(run.first_frame, 1),
            stages={name: round(seconds, 2) for name, seconds in run.stages.items()},
            baselines=baselines,
        )

    def __str__(self) -> str:
        lines = [
            f"{self.device}, {self.dtype}, quantization {self.quantization}, {self.hours:.3g} hours of speech",
            "",
            f"{'x real time, whole render':32}{self.x_realtime:10.1f}",
            f"{'tokens/s':32}{self.tokens_per_s:10.0f}",
            f"{'batch size, mean (max)':32}{self.rows:10.1f} ({self.most_rows})",
            f"{'ms/step':32}{self.ms_per_step:10.2f}",
            f"{'share of the bandwidth floor':32}{self.floor_share:10.2f} (of {self.bandwidth_gb_per_s:.0f} GB/s)",
            f"{'start to first frame, s':32}{self.start_s:10.1f}",
        ]
        if self.peak_gib:  # on a GPU
            lines += [
                f"{'peak GPU memory, GiB':32}{self.peak_gib:10.2f} ({self.planned_gib:.2f} planned)",
                f"{'frames the GPU waited for':32}{self.gpu_waited:10.2%}, preemptions {self.restarts}",
            ]
        lines += [f"{f'stage {name}, s':32}{seconds:10.1f}" for name, seconds in self.stages.items()]
        for name, baseline in self.baselines.items():
            times = self.tokens_per_s / baseline["tokens_per_s"]
            batch = f"batch size {baseline['rows']:.0f}"
            lines.append(
                f"{f'against {name} ({batch})':32}{times:10.1f} times its {baseline['tokens_per_s']:.0f} tokens/s"
            )
        return "\n".join(lines)

    def as_json(self) -> str:
        """All metrics, as JSON."""
        return json.dumps(asdict(self), indent=2)

    @property
    def speed(self) -> Speed:
        """The speed that `plan` estimates with."""
        return Speed(self.device, self.x_realtime, self.start_s)
