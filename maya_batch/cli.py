"""The command line: parses, prints, exits. All else is in the modules it calls."""

import json
import logging
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from maya_batch.checkpoint import MAYA1, SNAC_24KHZ
from maya_batch.errors import (
    EXIT_ENVIRONMENT,
    EXIT_PROBLEMS,
    EXIT_STOPPED,
    EXIT_UNEXPECTED,
    MachineError,
    MayaBatchError,
    UsageError,
)
from maya_batch.logs import log_to_file, log_to_terminal
from maya_batch.manifest import Render, json_schema, output_folder
from maya_batch.plan import Plan, make_plan
from maya_batch.progress import LogWatcher, TerminalWatcher
from maya_batch.settings import Machine, machine_settings, sound_settings
from maya_batch.state import BookState, book_state, hidden_folder
from maya_batch.summary import describe, summarize

log = logging.getLogger(__name__)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Turn a book into an audiobook overnight with the Maya1 text-to-speech model.",
)

Book = Annotated[Path, typer.Argument(help="The book's manifest, a YAML file.", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", help="Where the audio goes, instead of the book's folder.")]
Config = Annotated[str | None, typer.Option(help="The machine: a name of configs/ or a file.")]
Model = Annotated[str | None, typer.Option(help="A hub id, a folder, or `demo`, instead of the book's.")]
Codec = Annotated[str | None, typer.Option(help="A hub id, a folder, or `demo`, instead of the book's.")]
EngineName = Annotated[str | None, typer.Option(help="auto, hf or gguf.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")]
Quantization = Annotated[str | None, typer.Option(help="none, nf4 or int8.")]
BatchSize = Annotated[int | None, typer.Option(help="Rows generated together.")]
DecodingName = Annotated[str | None, typer.Option("--decoding", help="auto, framed or free.")]
AllowTags = Annotated[bool, typer.Option("--allow-unknown-tags", help="Only warn of tags the model may not know.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing unless something went wrong.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print details.")]
LogFile = Annotated[Path | None, typer.Option(help="Append all messages to this file too.")]


def main() -> NoReturn:
    """Run the command line; what is wrong ends in one clear line and the exit code of its kind."""
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _interrupt)
    try:
        app(standalone_mode=True)
    except MayaBatchError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except _Interruption:
        print("stopped; what is stored stays, and the same command goes on from there", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except OSError as error:
        # A pipe that was closed, a disk that is full: the machine, not the program.
        print(f"{error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(EXIT_ENVIRONMENT)
    sys.exit(EXIT_UNEXPECTED)


class _Interruption(BaseException):
    """A signal to stop. Not a KeyboardInterrupt, which Typer would end with an exit code of its own."""


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise _Interruption


@app.command()
def render(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    codec: Codec = None,
    engine: EngineName = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    batch_size: BatchSize = None,
    decoding: DecodingName = None,
    allow_unknown_tags: AllowTags = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Render a book, or what of it is not rendered yet: `maya-batch render book.yaml`."""
    from maya_batch.render import render_book

    plan = _begin(book, model, codec, allow_unknown_tags, quiet, verbose, log_file)
    machine = _machine(config, engine, device, dtype, quantization, batch_size, decoding)
    log_to_file(hidden_folder(output_folder(plan.manuscript, output)) / "render.log")
    watcher = TerminalWatcher() if sys.stderr.isatty() and not quiet else LogWatcher()
    try:
        outcome = render_book(plan, machine, watcher, output, check_tags=not allow_unknown_tags)
    finally:
        watcher.close()
    _finish(summarize(outcome), bool(outcome.problems), False)


@app.command()
def assemble(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    codec: Codec = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    allow_unknown_tags: AllowTags = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Put the chapters together from their takes, without the language model: after a change of pauses or formats."""
    from maya_batch.render import assemble_book

    plan = _begin(book, model, codec, allow_unknown_tags, quiet, verbose, log_file)
    machine = _machine(config, None, device, dtype, quantization, None, decoding)
    outcome = assemble_book(plan, machine, LogWatcher(), output)
    for chapter in outcome.incomplete:
        log.warning("%s: not all of its chunks are rendered yet; run `maya-batch render %s`", chapter.stem, book)
    _finish(summarize(outcome), bool(outcome.problems), bool(outcome.incomplete))


@app.command()
def plan(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    allow_unknown_tags: AllowTags = False,
    as_json: Json = False,
) -> None:
    """Say what a book comes to, before anything is rendered: chapters, chunks, words, minutes, disk, mistakes."""
    state = _look(book, output, config, model, dtype, quantization, decoding, allow_unknown_tags)
    _print(describe(state, takes=False), as_json)


@app.command()
def status(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    allow_unknown_tags: AllowTags = False,
    as_json: Json = False,
) -> None:
    """Say what of a book is rendered, what has problems, and which files are left over."""
    state = _look(book, output, config, model, dtype, quantization, decoding, allow_unknown_tags)
    _print(describe(state, takes=True), as_json)


@app.command()
def clean(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove files of chapters and takes that the book no longer has, after showing them."""
    from maya_batch.book_lock import hold_book
    from maya_batch.store import unlink_all

    state = _look(book, output, config, model, dtype, quantization, decoding, True)
    if not hidden_folder(state.folder).is_dir():
        print("nothing to remove")
        return
    with hold_book(hidden_folder(state.folder)):
        stale, takes = state.stale_files(), state.unused_takes()
        for path in [*stale, *takes]:
            print(path)
        if not stale and not takes:
            print("nothing to remove")
            return
        try:
            sure = yes or typer.confirm(f"remove these {len(stale)} audio files and {len(takes)} takes?")
        except typer.Abort:  # nobody is there to answer
            sure = False
        if not sure:
            raise UsageError("nothing was removed")
        print(f"removed, {unlink_all([*stale, *takes]) / 2**20:.1f} MiB freed")


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say, emotion tags and all.", show_default=False)],
    path: Annotated[Path, typer.Option("--output", "-o", help="A .wav or .mp3 file.")],
    description: Annotated[str, typer.Option(help="The voice, in words.")] = (
        "Realistic female voice in the 30s age with american accent. Normal pitch, warm timbre, conversational pacing."
    ),
    config: Config = None,
    model: Model = None,
    codec: Codec = None,
    engine: EngineName = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    temperature: Annotated[float | None, typer.Option(help="0 to 2.")] = None,
    top_p: Annotated[float | None, typer.Option(help="0 to 1.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="1 to 2.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, another take.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say one text: `maya-batch say "Well <sigh> there it is." -o x.wav --model demo`."""
    from maya_batch.say import say as say_text

    log_to_terminal(quiet, verbose)
    flags = _flags(
        model=model,
        codec=codec,
        temperature=temperature,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    machine = _machine(config, engine, device, dtype, quantization, None, decoding)
    seconds, problems = say_text(text, description, sound_settings(Render(), Path(), flags), machine, path)
    for problem in problems:
        log.warning("%s: %s", problem.kind, problem.detail)
    _finish(f"{path}  {seconds:.1f} s", bool(problems), False)


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Hub ids, `org/name` or `org/name@revision`.")] = None,
    to: Annotated[Path | None, typer.Option(help="A folder, instead of the hub's cache.")] = None,
) -> None:
    """Get models and codecs from the Hugging Face hub; without names, Maya1 and its codec."""
    from maya_batch.fetch import fetch as fetch_one

    for name in names or [MAYA1, SNAC_24KHZ]:
        path = fetch_one(name, to, _say_now)
        print(f"{name}: {path}" + (f"\nuse it with --model {path}" if to else ""))


@app.command()
def doctor() -> None:
    """Look whether this machine can render: Python, torch, CUDA, 4-bit kernels, ffmpeg, models, disk."""
    from maya_batch.doctor import checks

    log_to_terminal(False, False)
    lacking = []
    for check in checks():
        mark = "ok" if check.ok else "NO" if check.needed else "--"
        print(f"{mark}  {check.name}: {check.seen}", flush=True)
        if check.needed and not check.ok:
            lacking.append(check.name)
    if lacking:
        raise MachineError(f"this machine cannot render yet: {', '.join(lacking)}")


@app.command()
def tags(model: Model = None, as_json: Json = False) -> None:
    """List the emotion tags of a checkpoint: those that are one token of its tokenizer."""
    from maya_batch.checkpoint import find_checkpoint
    from maya_batch.engines.loading import known_tags

    sound = sound_settings(Render(), Path(), _flags(model=model))
    known, unknown = known_tags(find_checkpoint(sound.model, "model").folder)
    if as_json:
        print(json.dumps({"model": sound.model, "known": known, "unknown": unknown}))
        return
    for tag in known:
        print(f"<{tag}>")
    for tag in unknown:
        log.warning("<%s> is in the checkpoint's layout, but no single token: it would be read aloud", tag)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors: `maya-batch schema > book.schema.json`."""
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _begin(
    book: Path,
    model: str | None,
    codec: str | None,
    allow_unknown_tags: bool,
    quiet: bool,
    verbose: bool,
    log_file: Path | None,
) -> Plan:
    """What every command that writes begins with: the log, and the plan with its warnings."""
    log_to_terminal(quiet, verbose)
    if log_file is not None:
        log_to_file(log_file)
    made = make_plan(book, _flags(model=model, codec=codec), allow_unknown_tags)
    for warning in made.warnings:
        log.warning("%s", warning)
    return made


def _look(
    book: Path,
    output: Path | None,
    config: str | None,
    model: str | None,
    dtype: str | None,
    quantization: str | None,
    decoding: str | None,
    allow_unknown_tags: bool,
) -> BookState:
    """A book and what is on the disk of it, without touching anything."""
    made = _begin(book, model, None, allow_unknown_tags, False, False, None)
    return book_state(made, _machine(config, None, None, dtype, quantization, None, decoding), output)


def _machine(
    config: str | None,
    engine: str | None,
    device: str | None,
    dtype: str | None,
    quantization: str | None,
    batch_size: int | None,
    decoding: str | None,
) -> Machine:
    return machine_settings(
        config,
        {
            "engine": engine,
            "device": device,
            "dtype": dtype,
            "quantization": quantization,
            "batch_size": batch_size,
            "decoding": decoding,
        },
    )


def _flags(**values: object) -> Render:
    """Flags that shape the sound, within the bounds a manifest has; models may lie anywhere."""
    names = {key: values.pop(key) for key in ("model", "codec") if values.get(key) is not None}
    try:
        checked = Render.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from error
    return checked.model_copy(update=names)


def _finish(summary: str, problems: bool, unfinished: bool) -> None:
    """The last line, and the exit code."""
    log.log(logging.WARNING if problems or unfinished else logging.INFO, "%s", summary)
    if unfinished:
        raise typer.Exit(EXIT_STOPPED)
    if problems:
        raise typer.Exit(EXIT_PROBLEMS)


def _print(description: Any, as_json: bool) -> None:
    print(json.dumps(asdict(description), ensure_ascii=False, indent=2) if as_json else str(description))


def _say_now(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
