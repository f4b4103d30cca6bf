"""The options that commands share, and the settings that they give."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from maya_batch.book.plan import Plan, make_plan
from maya_batch.book.settings import Machine, flags_of, machine_settings
from maya_batch.messages.logs import log_to_file, log_to_terminal
from maya_batch.run.result import RunResult

log = logging.getLogger(__name__)

Book = Annotated[Path, typer.Argument(help="The book's manifest (YAML).", show_default=False)]


def named_folder(text: str) -> Path:
    """The path of a folder; an empty one, as of a shell variable that is not set, would be the current folder.

    Raises:
        BadParameter: it is empty.
    """
    if not text.strip():
        raise typer.BadParameter("it is empty; name a folder, the current one as `.`")
    return Path(text)


def output_option(help: str, *short: str) -> Any:
    """`--output`, and `short` names of it, for a folder."""
    return typer.Option("--output", *short, parser=named_folder, metavar="PATH", help=help)


Output = Annotated[Path | None, output_option("Output folder. Default: the folder that the manifest sets.")]
Config = Annotated[
    str | None,
    typer.Option(
        help="Machine settings: demo, maya1-bf16-24gb, maya1-fp8-24gb, maya1-gguf-4gb, maya1-gguf-cpu, maya1-nf4-8gb, "
        "or a YAML file."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Model: `demo`, a hub id, a folder, or a .gguf file. Default: the book's, else maya-research/maya1."
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(help="Codec: `demo`, a hub id, or a folder. Default: the book's, else the codec of Maya1 or `demo`."),
]


def _choice(setting: str, help: str) -> Any:
    """An option whose help shows the values that a setting of the machine may have.

    `Machine` checks them, not Typer, which would refuse them before `--notify` is known.
    """
    (kinds,) = (kind for kind in _kinds(Machine.model_fields[setting].annotation) if get_origin(kind) is Literal)
    return typer.Option(f"--{setting.replace('_', '-')}", metavar="|".join(get_args(kinds)), help=help)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return (annotation,) if get_origin(annotation) is Literal else get_args(annotation)


_DEVICES = "auto|cpu|cuda|cuda:N"
EngineName = Annotated[
    str | None,
    _choice("engine", "Engine that runs the model: gguf (llama.cpp) for .gguf files, else hf. Default: by the model."),
]
Device = Annotated[
    str | None, typer.Option(metavar=_DEVICES, help="Device for the model. Default: a GPU if there is one.")
]
Dtype = Annotated[str | None, _choice("dtype", "Number format of the weights.")]
Quantization = Annotated[
    str | None, _choice("quantization", "Store the weights in 4 bits (nf4) or 8 bits (int8, fp8).")
]
KvCache = Annotated[
    str | None,
    _choice(
        "kv_cache",
        "Format of cached keys and values: the model's number format, or int8, with half the memory.",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Maximum batch size. Default: as large as is useful and fits in memory."),
]
DecodingName = Annotated[
    str | None,
    _choice("decoding", "Constrain the tokens to Maya1's frame format (framed), or do not (free)."),
]
Verify = Annotated[
    str | None,
    _choice("verify", "Takes to check word by word with speech recognition: all, those with problems, or none."),
]
RecognizerName = Annotated[
    str | None,
    typer.Option("--recognizer", help="Speech recognition model: a name like small.en, a hub id, or a folder."),
]
RecognizerDevice = Annotated[str | None, typer.Option(metavar=_DEVICES, help="Device for speech recognition.")]
AllowTags = Annotated[
    bool,
    typer.Option("--allow-unknown-tags", help="Warn about unknown emotion tags instead of refusing them."),
]
AllowLanguage = Annotated[
    bool, typer.Option("--allow-language", help="Allow a book in a language that the model does not speak.")
]
Attempts = Annotated[
    int | None,
    typer.Option(help="Maximum takes per chunk; one with problems is made again. Default: the book's, else 3."),
]
Workers = Annotated[
    str | None,
    typer.Option(metavar="auto|N", help="Generate on so many GPUs at once, or on all. Default: one, without Ray."),
]
RayAddress = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Use the GPUs of this Ray cluster, which has this machine.")
]
Until = Annotated[str | None, typer.Option(help="Stop at this time of day, for example 07:00.")]
MaxMinutes = Annotated[float | None, typer.Option(help="Stop after this many minutes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print details.")]
Notify = Annotated[
    str | None, typer.Option(help="Command to run when the run ends; its last argument is the path of the report.")
]
LogFile = Annotated[Path | None, typer.Option(help="Also append all messages to this file.")]


@dataclass(frozen=True)
class MachineFlags:
    """The flags that set how a command uses the machine."""

    config: Config = None
    engine: EngineName = None
    device: Device = None
    dtype: Dtype = None
    quantization: Quantization = None
    kv_cache: KvCache = None
    batch_size: BatchSize = None
    decoding: DecodingName = None
    verify: Verify = None
    recognizer: RecognizerName = None
    recognizer_device: RecognizerDevice = None
    workers: Workers = None
    ray_address: RayAddress = None

    def machine(self) -> Machine:
        """The settings of the machine, from a configuration and the flags that were given."""
        values = asdict(self)
        return machine_settings(values.pop("config"), values)


@dataclass(frozen=True)
class BookFlags:
    """The flags that set how a book is planned, and where messages go."""

    model: Model = None
    codec: Codec = None
    attempts: Attempts = None
    allow_unknown_tags: AllowTags = False
    allow_language: AllowLanguage = False
    quiet: Quiet = False
    verbose: Verbose = False
    log_file: LogFile = None

    def plan(
        self, book: Path, output: Path | None = None, any_language: bool = True, upgrade_text: bool = False
    ) -> Plan:
        """Start the log, plan the book for its `output` folder and log its warnings.

        Commands that generate speech refuse languages that the model does not speak, unless a flag allows them.
        """
        self.start_log()
        return self.planned(book, output, any_language, upgrade_text)

    def start_log(self) -> None:
        """Show messages on the terminal, and in the file of --log-file."""
        log_to_terminal(self.quiet, self.verbose)
        if self.log_file is not None:
            log_to_file(self.log_file)

    def planned(
        self, book: Path, output: Path | None = None, any_language: bool = True, upgrade_text: bool = False
    ) -> Plan:
        """As `plan`, where the log is started."""
        made = self.planned_again(book, output, any_language, upgrade_text)
        for warning in made.warnings:
            log.warning("%s", warning)
        return made

    def planned_again(
        self, book: Path, output: Path | None = None, any_language: bool = True, upgrade_text: bool = False
    ) -> Plan:
        """As `plan`, where its warnings are logged, too."""
        sound = flags_of(model=self.model, codec=self.codec, attempts=self.attempts)
        return make_plan(
            book, sound, self.allow_unknown_tags, self.allow_language or any_language, output, upgrade_text
        )


def takes_flags(parameter: str, kind: type, *names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the named flags of `kind`; it gets their values as one object, its argument `parameter`."""
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


def finish(summary: Sequence[str], exit_code: int) -> None:
    """Log the last lines and end with the exit code."""
    for line in summary:
        log.log(logging.WARNING if exit_code else logging.INFO, "%s", line)
    if exit_code:
        raise typer.Exit(exit_code)


def warn_of_incomplete(result: RunResult, book: Path) -> None:
    """Log the chapters that cannot be assembled yet."""
    for chapter in result.incomplete:
        log.warning("%s: some chunks are not rendered yet; run `maya-batch render %s`", chapter.stem, book)
