"""The commands without a book: say, fetch, doctor, bench, tags, schema."""

import json
import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, get_args

import typer

from maya_batch.book.machine_speed import save_speed
from maya_batch.book.settings import flags_of, sound_settings
from maya_batch.checkpoint.locate import DEMO, MAYA1, MAYA1_GGUF, SNAC_24KHZ, is_gguf
from maya_batch.cli.options import Codec, Json, MachineFlags, Model, Quiet, Verbose, finish, output_option, takes_flags
from maya_batch.cli.session import Session
from maya_batch.errors import EXIT_PROBLEMS, EXIT_WHOLE, MachineError, UsageError
from maya_batch.manifest import Render, json_schema
from maya_batch.manifest.audio_formats import FormatName
from maya_batch.messages.logs import log_to_terminal
from maya_batch.messages.printable import printable
from maya_batch.run.command_guard import guarded

log = logging.getLogger(__name__)

_VOICE = "Realistic female voice in the 30s age with american accent. Normal pitch, warm timbre, conversational pacing."

_AUDIO_FILE = f"Audio file to write: {' or '.join(f'.{name}' for name in get_args(FormatName))}."


@takes_flags(
    "machine_flags", MachineFlags, "config", "engine", "device", "dtype", "quantization", "kv_cache", "decoding"
)
def say(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Text to speak, with emotion tags.", show_default=False)],
    path: Annotated[Path, typer.Option("--output", "-o", help=_AUDIO_FILE)],
    machine_flags: MachineFlags,
    description: Annotated[str, typer.Option(help="Description of the voice.")] = _VOICE,
    model: Model = None,
    codec: Codec = None,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature, 0 to 2. Default: 0.4.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Top-p sampling, above 0 to 1. Default: 0.9.")] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(help="Repetition penalty, 1 to 2. Default: 1.1; with `demo`, 1.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed; another seed gives another reading. Default: 0.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Speak one text into one file.

    Example: `maya-batch say "Well, <sigh> there it is." -o x.wav --model demo`.
    """
    from maya_batch.run.samples import say as say_text

    log_to_terminal(quiet, verbose)
    flags = flags_of(
        model=model,
        codec=codec,
        temperature=temperature,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    machine = machine_flags.machine()
    sound = sound_settings(Render(), Path(), flags)
    session = context.ensure_object(Session)
    with guarded(session.stop) as guard:
        sample = say_text(text, description, sound, machine, path, guard.stop, session.loaders)
    for problem in sample.problems:
        log.warning("%s: %s", problem.kind, problem.detail)
    finish([f"{path}  {sample.seconds:.1f} s"], EXIT_PROBLEMS if sample.problems else EXIT_WHOLE)


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Hub ids: `org/name` or `org/name@revision`. Default: Maya1 and its codec."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder to download into. Default: the cache of the Hugging Face hub.")
    ] = None,
    recognizer: Annotated[
        str | None, typer.Option(help="Speech recognition model to download, for example small.en.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(help="Download only this GGUF file of a repository: its name, or a pattern like `*Q4_K_M.gguf`."),
    ] = None,
) -> None:
    """Download models, codecs or a speech recognition model from the Hugging Face hub.

    This is the only command that uses the network. An interrupted download continues where it stopped.
    """
    from maya_batch.checkpoint.fetch import RECOGNIZER_PATTERNS, fetch_gguf
    from maya_batch.checkpoint.fetch import fetch as fetch_one

    if file is not None and len(names or ()) != 1:
        raise UsageError(
            f"--file {file}: name one repository, as in `maya-batch fetch {MAYA1_GGUF} --file '*Q4_K_M.gguf'`"
        )
    if recognizer is not None:
        from maya_batch.quality.recognizers import recognizer_repository

        path = fetch_one(recognizer_repository(recognizer), to, _say_now, RECOGNIZER_PATTERNS)
        _tell_place(recognizer, path, "--recognizer" if to else None)
    for name in names or ([MAYA1, SNAC_24KHZ] if recognizer is None else []):
        if file is not None:
            _tell_place(name, fetch_gguf(name, file, to, _say_now), "--model")
        else:
            flag = "--codec" if name == SNAC_24KHZ else "--model"
            _tell_place(name, fetch_one(name, to, _say_now), flag if to else None)


@takes_flags("machine_flags", MachineFlags, "device", "dtype", "quantization", "recognizer")
def doctor(
    context: typer.Context,
    machine_flags: MachineFlags,
    model: Annotated[
        str | None, typer.Option(help="Report on this model: a hub id, a folder, a .gguf file, or `demo`.")
    ] = None,
    codec: Annotated[str | None, typer.Option(help="The model's codec, if it is not the usual one.")] = None,
    speak: Annotated[bool, typer.Option("--speak", help="Load the model, and measure how it speaks.")] = False,
    output: Annotated[Path | None, output_option("Write what it speaks into this folder.")] = None,
) -> None:
    """Check whether this machine can render, or report on a model.

    Without --model it checks Python, disk space, ffmpeg, PyTorch, CUDA, 4-bit kernels and models. With --model it
    prints one page about the model's files and, with --speak, about its speech. The page contains no paths, so it can
    be posted.
    """
    log_to_terminal(False, False)
    if model is None:
        _refuse_flags("--model", codec=codec, speak=speak, output=output, **asdict(machine_flags))
        _check_machine()
        return
    if not speak:
        _refuse_flags("--speak", output=output, recognizer=machine_flags.recognizer)
    from maya_batch.run.checkpoint_report import report_checkpoint
    from maya_batch.run.checkpoint_speech import SpeechOptions
    from maya_batch.run.loading import Loaders

    machine = machine_flags.machine()
    sound = sound_settings(Render(), Path(), flags_of(model=model, codec=codec))
    session = context.ensure_object(Session)
    options = SpeechOptions(_VOICE, output, session.loaders or Loaders()) if speak else None
    with guarded(session.stop) as guard:
        problems = report_checkpoint(sound, machine, options, _print_now, guard.stop)
    finish([], EXIT_PROBLEMS if problems else EXIT_WHOLE)


def _refuse_flags(needed: str, **values: object) -> None:
    """Raise a UsageError if one of these flags was given: without the flag `needed` it has no effect."""
    for name, value in values.items():
        if value:
            raise UsageError(f"--{name.replace('_', '-')} needs {needed}")


def _check_machine() -> None:
    from maya_batch.cli.doctor import checks

    lacking = []
    for check in checks():
        mark = "ok" if check.ok else "NO" if check.needed else "--"
        _print_now(f"{mark}  {check.name}: {check.seen}")
        if check.needed and not check.ok:
            lacking.append(check.name)
    if lacking:
        raise MachineError(f"this machine cannot render yet: {', '.join(lacking)}")


@takes_flags(
    "machine_flags", MachineFlags, "config", "engine", "device", "dtype", "quantization", "kv_cache", "batch_size"
)
def bench(
    context: typer.Context,
    machine_flags: MachineFlags,
    hours: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1000,
            help="Hours of speech to render. Default: 1; with a .gguf file, 0.1; with `--model demo`, 0.02.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model to measure: `demo`, a hub id, a folder, or a .gguf file. Default: random weights of Maya1's "
            "shape."
        ),
    ] = None,
    codec: Codec = None,
    gpu_memory: Annotated[float | None, typer.Option(min=1, help="Limit the GPU memory to this many GiB (hf).")] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="Also measure vLLM, if it is installed, and plain `generate`; with a .gguf file, `create_completion`.",
        ),
    ] = False,
    verify: Annotated[
        str | None,
        typer.Option(
            help="Transcribe all takes, with this recognizer: a name like small.en, or a folder. Default: as in "
            "`render`; takes of random weights are not transcribed."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast this machine renders; `plan` then shows the expected rendering time.

    Example: `maya-batch bench --hours 10 --baseline`. On a CPU: `maya-batch bench --model demo`, or
    `maya-batch bench --model maya1.gguf`.
    """
    from maya_batch.bench import Options
    from maya_batch.bench import bench as measure

    log_to_terminal(False, False)
    listening = "all" if verify is not None else "off" if model is None else None
    machine = replace(machine_flags, decoding="framed", verify=listening, recognizer=verify).machine()
    if model == DEMO:
        codec = codec or DEMO
    hours = hours or (0.02 if model == DEMO else 0.1 if model is not None and is_gguf(model) else 1.0)
    with guarded(context.ensure_object(Session).stop):
        figures = measure(Options(hours, machine, model, codec, gpu_memory, baseline), _say_now)
    print(figures.as_json() if as_json else figures)
    if gpu_memory is not None:
        log.info("this speed is not saved for the estimates of `plan`, because --gpu-memory was set")
        return
    try:
        save_speed(model, figures.speed)
    except MachineError as error:
        log.warning("%s; the speed is not saved for `plan`", error)


def tags(model: Model = None, as_json: Json = False) -> None:
    """List the emotion tags that a model knows.

    These are the tags that are one token of its tokenizer.
    """
    from maya_batch.checkpoint.locate import find_checkpoint
    from maya_batch.engine.tokenizers import known_tags

    sound = sound_settings(Render(), Path(), flags_of(model=model))
    known, unknown = known_tags(find_checkpoint(sound.model, "model").path)
    if as_json:
        print(json.dumps({"model": sound.model, "known": known, "unknown": unknown}))
        return
    for tag in known:
        print(f"<{tag}>")
    for tag in unknown:
        log.warning("<%s> is not one token of this model's tokenizer, so the model would read it aloud", tag)


def schema() -> None:
    """Print the JSON Schema of the manifest, for completion in an editor.

    Example: `maya-batch schema > book.schema.json`.
    """
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _tell_place(name: str, path: Path, flag: str | None) -> None:
    """Print the folder or file of a download, and the flag that uses it if its name alone does not."""
    print(printable(f"{name}: {path}"))
    if flag is not None:
        print(printable(f"use it with {flag} {path}"))


def _print_now(line: str) -> None:
    print(printable(line), flush=True)


def _say_now(text: str) -> None:
    for line in text.split("\n"):
        print(printable(line), file=sys.stderr, flush=True)
