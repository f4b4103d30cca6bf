"""The options that commands share, and what they come to."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from pydantic import ValidationError

from maya_batch.book.plan import Plan, make_plan
from maya_batch.book.settings import Machine, flag_mistake, machine_settings
from maya_batch.errors import UsageError
from maya_batch.manifest import Render
from maya_batch.messages.logs import log_to_file, log_to_terminal
from maya_batch.run.result import RunResult

log = logging.getLogger(__name__)

Book = Annotated[Path, typer.Argument(help="The book's manifest, a YAML file.", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", help="Where the audio goes, instead of the book's folder.")]
Config = Annotated[str | None, typer.Option(help="The machine: a name of configs/ or a file.")]
Model = Annotated[str | None, typer.Option(help="A hub id, a folder, or `demo`, instead of the book's.")]
Codec = Annotated[str | None, typer.Option(help="A hub id, a folder, or `demo`, instead of the book's.")]


def _choice(setting: str, help: str, without: tuple[str, ...] = ()) -> Any:
    """An option whose help shows the values that a setting of the machine may have.

    They are checked by `Machine`, not by Typer, which would refuse them before `--notify` is known.
    """
    (kinds,) = (kind for kind in _kinds(Machine.model_fields[setting].annotation) if get_origin(kind) is Literal)
    metavar = "|".join(value for value in get_args(kinds) if value not in without)
    return typer.Option(f"--{setting}", metavar=metavar, help=help)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return (annotation,) if get_origin(annotation) is Literal else get_args(annotation)


_DEVICES = "auto|cpu|cuda|cuda:N"
EngineName = Annotated[str | None, _choice("engine", "What runs the model.", without=("gguf",))]
Device = Annotated[str | None, typer.Option(metavar=_DEVICES, help="Where the model runs.")]
Dtype = Annotated[str | None, _choice("dtype", "Number format of the weights.")]
Quantization = Annotated[str | None, _choice("quantization", "Weights in 4 or 8 bits.")]
BatchSize = Annotated[int | None, typer.Option(help="Maximum batch size; default: as many as is useful and fits.")]
DecodingName = Annotated[str | None, _choice("decoding", "Constrained to Maya1's frames (framed), or not (free).")]
Verify = Annotated[str | None, _choice("verify", "Which takes are checked word by word with speech recognition.")]
RecognizerName = Annotated[str | None, typer.Option("--recognizer", help="The ASR model: small.en, a folder...")]
RecognizerDevice = Annotated[str | None, typer.Option(metavar=_DEVICES, help="Where the ASR model runs.")]
AllowTags = Annotated[bool, typer.Option("--allow-unknown-tags", help="Only warn of tags the model may not know.")]
AllowLanguage = Annotated[
    bool, typer.Option("--allow-language", help="Speak a book whose language the model was not made for.")
]
Attempts = Annotated[int | None, typer.Option(help="Takes a chunk may have until one is without problems.")]
Until = Annotated[str | None, typer.Option(help="Stop at this time of day, like 07:00.")]
MaxMinutes = Annotated[float | None, typer.Option(help="Stop after so many minutes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing unless something went wrong.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print details.")]
Notify = Annotated[
    str | None, typer.Option(help="Run this command when the run has ended; its last argument is the report.")
]
LogFile = Annotated[Path | None, typer.Option(help="Append all messages to this file too.")]


@dataclass(frozen=True)
class MachineFlags:
    """The flags that say on which machine a command runs, and how."""

    config: Config = None
    engine: EngineName = None
    device: Device = None
    dtype: Dtype = None
    quantization: Quantization = None
    batch_size: BatchSize = None
    decoding: DecodingName = None
    verify: Verify = None
    recognizer: RecognizerName = None
    recognizer_device: RecognizerDevice = None

    def machine(self) -> Machine:
        """The machine, from a configuration and the flags that were given."""
        values = asdict(self)
        return machine_settings(values.pop("config"), values)


@dataclass(frozen=True)
class BookFlags:
    """The flags that say how a book is planned, and where messages go."""

    model: Model = None
    codec: Codec = None
    attempts: Attempts = None
    allow_unknown_tags: AllowTags = False
    allow_language: AllowLanguage = False
    quiet: Quiet = False
    verbose: Verbose = False
    log_file: LogFile = None

    def plan(self, book: Path, any_language: bool = True) -> Plan:
        """Start the log, and plan the book; its warnings are logged.

        Commands that generate speech refuse languages that the model does not speak, unless a flag allows them.
        """
        log_to_terminal(self.quiet, self.verbose)
        if self.log_file is not None:
            log_to_file(self.log_file)
        sound = flags_of(model=self.model, codec=self.codec, attempts=self.attempts)
        made = make_plan(book, sound, self.allow_unknown_tags, self.allow_language or any_language)
        for warning in made.warnings:
            log.warning("%s", warning)
        return made


def takes_flags(parameter: str, kind: type, *names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the named flags of `kind`, whose values it gets together as its argument `parameter`."""
    hints = get_type_hints(kind, include_extras=True)
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=getattr(kind, name), annotation=hints[name]) for name in names
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            flags = kind(**{name: given.pop(name) for name in names})
            command(**given, **{parameter: flags})

        own = [part for part in signature(command, eval_str=True).parameters.values() if part.name != parameter]
        together = [*(part.replace(kind=Parameter.KEYWORD_ONLY) for part in own), *added]
        run.__signature__ = Signature(together)  # type: ignore[attr-defined]
        run.__annotations__ = {part.name: part.annotation for part in together}
        return run

    return decorate


def flags_of(**values: object) -> Render:
    """Flags that shape the sound, within the bounds a manifest has; models may lie anywhere."""
    names = {key: values.pop(key) for key in ("model", "codec") if values.get(key) is not None}
    try:
        checked = Render.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        raise UsageError(flag_mistake(error)) from error
    return checked.model_copy(update=names)


def finish(summary: Sequence[str], exit_code: int) -> None:
    """The last lines, and the exit code."""
    for line in summary:
        log.log(logging.WARNING if exit_code else logging.INFO, "%s", line)
    if exit_code:
        raise typer.Exit(exit_code)


def warn_of_incomplete(result: RunResult, book: Path) -> None:
    """Name the chapters that could not be put together."""
    for chapter in result.incomplete:
        log.warning("%s: not all of its chunks are rendered yet; run `maya-batch render %s`", chapter.stem, book)
