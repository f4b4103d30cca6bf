"""The last lines of a run: what it did."""

from maya_batch.messages.counted import counted
from maya_batch.run.result import BESIDE, IN_TURN, Outcome


def summarize(outcome: Outcome) -> list[str]:
    """What a run did: its last lines."""
    spent = sum(outcome.stages.get(name, 0.0) for name in IN_TURN)
    lines = []
    if outcome.chunks:
        rendering = spent - outcome.stages.get("loading", 0.0)
        speed = f", {outcome.speech / rendering:.1f}x real time" if rendering else ""
        again = f", {counted(outcome.retries, 'take')} made again" if outcome.retries else ""
        lines.append(
            f"{counted(outcome.chunks, 'chunk')} rendered, {outcome.speech / 60:.1f} minutes of speech{speed}{again}"
        )
    if outcome.examined:
        lines.append(f"takes of an earlier run examined: {outcome.examined}")
    if lines:
        lines.append(f"{spent:.1f} s: {_stages(outcome, IN_TURN)} ({_stages(outcome, BESIDE)})")
        if outcome.peak_gpu_bytes:
            lines.append(f"peak GPU memory {outcome.peak_gpu_bytes / 2**30:.2f} GiB")
    if outcome.incomplete:
        lines.append(f"takes are still lacking in {counted(len(outcome.incomplete), 'chapter')}")
    elif not lines and not outcome.files:
        lines.append("nothing to do: all is rendered and put together")
    if outcome.problems:
        lines.append(
            f"{counted(len(outcome.problems), 'problem')} on record; listen to these chunks, or change their text:"
        )
        lines += [f"  {chunk.ref} {problem.kind}: {problem.detail}" for chunk, problem in outcome.problems]
    if not lines:
        lines.append(f"put together: {counted(len(outcome.files), 'file')}")
    if outcome.report is not None and (outcome.chunks or outcome.examined or outcome.files or outcome.problems):
        lines.append(f"report: {outcome.report}")
    return lines


def _stages(outcome: Outcome, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {outcome.stages.get(name, 0.0):.1f} s" for name in names)
