"""What a benchmark comes to: a table, JSON, and the speed that `plan` estimates with."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from maya_batch.book.machine_speed import Speed
from maya_batch.checkpoint.token_layout import SLOTS

if TYPE_CHECKING:
    from maya_batch.bench.measured_run import Run


@dataclass(frozen=True)
class Figures:
    """The figures of a run. `x_realtime` is of the whole render, the model loaded; speeds count no padding."""

    device: str
    dtype: str
    quantization: str
    hours: float
    rows: float
    most_rows: int
    tokens_per_s: float
    x_realtime: float
    ms_per_step: float
    floor_share: float
    """What of the decoding time the bandwidth alone asks for: weights and the rows' keys and values, read once."""
    bandwidth_gb_per_s: float
    peak_gib: float
    planned_gib: float
    gpu_waited: float
    """Share of the frames that the GPU had to wait for."""
    restarts: int
    start_s: float
    """From the start of the process to the first frame spoken."""
    stages: dict[str, float]
    baselines: dict[str, dict[str, float]]

    @classmethod
    def of(cls, run: "Run", baselines: dict[str, dict[str, float]]) -> "Figures":
        """The figures of what was measured."""
        model, finishing = run.stages["model"], run.stages["finishing"]
        return cls(
            device=run.device,
            dtype=run.dtype,
            quantization=run.quantization,
            hours=round(run.seconds_of_speech / 3600, 3),
            rows=round(run.rows, 1),
            most_rows=run.most_rows,
            tokens_per_s=round(run.tokens / model, 1),
            x_realtime=round(run.seconds_of_speech / (model + finishing), 2),
            ms_per_step=round(model / run.steps * 1e3, 3),
            floor_share=round(run.bytes_read / run.bandwidth / model, 3),
            bandwidth_gb_per_s=round(run.bandwidth / 1e9, 1),
            peak_gib=round(run.peak_bytes / 2**30, 2),
            planned_gib=round(run.planned_bytes / 2**30, 2),
            gpu_waited=round(run.waits * SLOTS / run.steps, 4),
            restarts=run.restarts,
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
            f"{'rows together, mean (most)':32}{self.rows:10.1f} ({self.most_rows})",
            f"{'ms/step':32}{self.ms_per_step:10.2f}",
            f"{'share of the bandwidth floor':32}{self.floor_share:10.2f} (of {self.bandwidth_gb_per_s:.0f} GB/s)",
            f"{'start to first frame, s':32}{self.start_s:10.1f}",
        ]
        if self.peak_gib:  # on a GPU
            lines += [
                f"{'peak GPU memory, GiB':32}{self.peak_gib:10.2f} ({self.planned_gib:.2f} planned)",
                f"{'frames the GPU waited for':32}{self.gpu_waited:10.2%}, rows begun anew {self.restarts}",
            ]
        lines += [f"{f'stage {name}, s':32}{seconds:10.1f}" for name, seconds in self.stages.items()]
        for name, figures in self.baselines.items():
            times = self.tokens_per_s / figures["tokens_per_s"]
            rows = f"{figures['rows']:.0f} rows"
            lines.append(
                f"{f'against {name} ({rows})':32}{times:10.1f} times its {figures['tokens_per_s']:.0f} tokens/s"
            )
        return "\n".join(lines)

    def as_json(self) -> str:
        """All figures."""
        return json.dumps(asdict(self), indent=2)

    @property
    def speed(self) -> Speed:
        """What `plan` estimates with."""
        return Speed(self.device, self.x_realtime, self.start_s)
