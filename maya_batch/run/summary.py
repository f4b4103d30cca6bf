"""The last lines that a run prints."""

from collections import Counter
from collections.abc import Iterator

from maya_batch.errors import EXIT_PROBLEMS, EXIT_STOPPED, EXIT_WHOLE
from maya_batch.messages.plural import plural
from maya_batch.run.result import IN_BACKGROUND, IN_TURN, RunResult
from maya_batch.run.shelf_result import ShelfBook, ShelfResult
from maya_batch.wording import NOTHING_TO_DO, incomplete, left_out, problems_recorded

#: Exit codes of a book without trouble: it is rendered, or the next run goes on with it.
_AS_ASKED = (EXIT_WHOLE, EXIT_STOPPED)


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


def summarize_shelf(result: ShelfResult) -> Iterator[tuple[bool, str]]:
    """The last lines of a run over several books, each with whether a person should see it in any case."""
    for book in result.books:
        if book.exit_code is not None:
            yield book.exit_code not in _AS_ASKED, _book_line(book)
    waiting = [book for book in result.books if book.exit_code is None]
    if waiting:
        yield False, f"{plural(len(waiting), 'book')} not begun, from {waiting[0].manifest} on"
    if result.chunks:
        again = f", {plural(result.retries, 'take')} retried" if result.retries else ""
        speed = f"{result.speech / 60:.1f} minutes of speech, {result.speech / result.seconds:.1f}x real time{again}"
        yield False, f"{plural(result.chunks, 'chunk')} rendered, {speed}"
    names = {EXIT_WHOLE: "whole", EXIT_PROBLEMS: "with problems", EXIT_STOPPED: "stopped", None: "not begun"}
    counts = Counter(names.get(book.exit_code, "left out") for book in result.books)
    parts = [f"{counts[name]} {name}" for name in (*names.values(), "left out") if counts[name]]
    yield result.exit_code not in _AS_ASKED, f"{plural(len(result.books), 'book')}: {', '.join(parts)}"


def _book_line(book: ShelfBook) -> str:
    """Title, state, and where to read more."""
    if not book.title:
        return f"{book.manifest}: {book.state}"
    where = book.page if book.page is not None and book.page.is_file() else book.manifest
    return f"{book.title}: {book.state}; {where}"
