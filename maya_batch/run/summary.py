"""The last lines that a run prints."""

from maya_batch.messages.plural import plural
from maya_batch.run.result import IN_BACKGROUND, IN_TURN, RunResult
from maya_batch.wording import NOTHING_TO_DO, incomplete, left_out, problems_recorded


def summarize(result: RunResult) -> list[str]:
    """The last lines of a run: what it did."""
    spent = sum(result.stages.get(name, 0.0) for name in IN_TURN)
    lines = []
    if result.chunks:
        rendering = spent - result.stages.get("loading", 0.0)
        speed = f", {result.speech / rendering:.1f}x real time" if rendering else ""
        again = f", {plural(result.retries, 'take')} retried" if result.retries else ""
        lines.append(
            f"{plural(result.chunks, 'chunk')} rendered, {result.speech / 60:.1f} minutes of speech{speed}{again}"
        )
    if result.examined:
        lines.append(f"{plural(result.examined, 'take')} of an earlier run examined")
    if lines:
        lines.append(f"{spent:.1f} s: {_stages(result, IN_TURN)} ({_stages(result, IN_BACKGROUND)})")
        if result.peak_gpu_bytes:
            whose = "process" if result.peak_in_process else "GPU"
            lines.append(f"peak {whose} memory {result.peak_gpu_bytes / 2**30:.2f} GiB")
    if result.incomplete:
        lines.append(incomplete(plural(len(result.incomplete), "chapter")))
    if result.left_out:
        lines.append(left_out(plural(len(result.left_out), "chapter")))
    elif not lines and not result.files:
        lines.append(NOTHING_TO_DO)
    if result.problems:
        count = plural(len(result.problems), "problem")
        lines.append(f"{problems_recorded(count)}; listen to these chunks or change their text:")
        lines += [f"  {chunk.ref} {problem.kind}: {problem.detail}" for chunk, problem in result.problems]
    if not lines:
        lines.append(f"{plural(len(result.files), 'file')} written")
    if result.report is not None and (result.chunks or result.examined or result.files or result.problems):
        lines.append(f"report: {result.report}")
    return lines


def _stages(result: RunResult, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {result.stages.get(name, 0.0):.1f} s" for name in names)
