"""The Python API. `import maya_batch` exports these functions, and loads this module when one is first used."""

from pathlib import Path

from maya_batch.book.book_id import rules_of
from maya_batch.book.plan import Plan, plan_manuscript
from maya_batch.book.settings import Machine, flags_of, sound_settings
from maya_batch.errors import ManifestError, StoppedError
from maya_batch.interrupt import Interruption, Stop
from maya_batch.manifest import Manuscript, Render, output_folder, read_manuscript
from maya_batch.report.model import Report, from_json
from maya_batch.run.deadline import deadline_of
from maya_batch.run.progress import ProgressListener
from maya_batch.run.render import render_book
from maya_batch.run.result import RunResult
from maya_batch.run.sample_files import Sample
from maya_batch.run.samples import say
from maya_batch.wording import RESUMABLE


def load_book(manifest: Path | str) -> Manuscript:
    """Read a manifest and its chapter files.

    Raises:
        ManifestError: the book has mistakes; `findings` has each of them with its file, line and column.
    """
    manuscript, findings = read_manuscript(Path(manifest))
    if manuscript is None or findings:
        raise ManifestError(findings)
    return manuscript


def plan_book(book: Manuscript, output: Path | None = None, **settings: object) -> Plan:
    """Cut a book into chapters and chunks. `settings` are keys of the manifest's `render:`, which they override.

    A book that was begun in its output folder, or in `output`, keeps its rules for texts and pauses.

    `plan.chapters` has the chapters with their chunks, and `plan.seconds(chapter)` the expected length of one.

    Raises:
        ManifestError: a text has mistakes, or cannot be spoken by this model.
        UsageError: a setting is not one of `render:`, or out of bounds.
        UsageError, MachineError: the model is not on this machine, or a file of the folder `.maya` is not valid.
    """
    sound = sound_settings(book.book.render, book.folder, flags_of(**settings))
    rules, audio_rules = rules_of(output_folder(book, output))
    return plan_manuscript(book, sound, rules=rules, audio_rules=audio_rules)


def render(
    plan: Plan,
    machine: Machine | None = None,
    *,
    output: Path | None = None,
    progress: ProgressListener | None = None,
    stop: Stop | None = None,
    max_minutes: float | None = None,
) -> RunResult:
    """Render what is not rendered yet, as `maya-batch render` does. The folder is `output`, or the manifest's.

    `progress` is called on the calling thread only. Any thread may call `stop.request()`: the run then stops between
    two frames. Signals are left to the caller.

    Raises:
        StoppedError: `stop` or `max_minutes` ended the run; finished takes are saved, and the next call continues.
        UsageError: the folder belongs to another book, or the book has another model config than is asked for.
        BusyError: another run has locked the book.
        MachineError: a model, the GPU, the disk or ffmpeg is missing or failed.
    """
    deadline = deadline_of(None, max_minutes)
    try:
        return render_book(
            plan, machine or Machine(), progress or ProgressListener(), output, deadline=deadline, stop=stop
        )
    except Interruption as error:
        raise StoppedError(RESUMABLE) from error


def read_report(plan: Plan, output: Path | None = None) -> Report:
    """Read the report of a book's last run, from `output` or the manifest's folder.

    Raises:
        OSError: there is none.
        ValueError: it is not a report of this version.
    """
    return from_json((output_folder(plan.manuscript, output) / "report.json").read_text(encoding="utf-8"))


def speak(text: str, description: str, path: Path | str, machine: Machine | None = None, **settings: object) -> Sample:
    """Speak one text into a WAV, MP3, FLAC, Opus or M4A file, by the suffix of `path`, as `maya-batch say` does.

    `description` describes the voice. `settings` are keys of a manifest's `render:`, like model or seed.

    Raises:
        ManifestError: the text has mistakes.
        UsageError: `path` exists and was not written by this function, or has another suffix.
        MachineError: a model, the GPU, the disk or ffmpeg is missing or failed.
    """
    sound = sound_settings(Render(), Path(), flags_of(**settings))
    return say(text, description, sound, machine or Machine(), Path(path))
