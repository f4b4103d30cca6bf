"""The page of `maya-batch doctor --model`: what a checkpoint's files say and, with --speak, how it speaks.

People post the page, so no line contains a path. It is printed line by line: if the model does not load, what was found
before is already there.
"""

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from maya_batch.book.settings import Machine, Sound
from maya_batch.checkpoint.locate import Checkpoint, find_checkpoint, is_gguf
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout, read_layout
from maya_batch.interrupt import Stop
from maya_batch.messages.plural import plural
from maya_batch.messages.quoting import quoted
from maya_batch.run.checkpoint_page import in_milliseconds, page_line, public_name
from maya_batch.run.checkpoint_speech import CheckpointSpeech, SpeechOptions
from maya_batch.run.model_files import MOST_LISTED, ModelFiles, read_model_files
from maya_batch.torch_errors import translated_load_errors

_PACKAGES, _GGUF_PACKAGES = ("torch", "transformers", "snac", "bitsandbytes"), ("llama-cpp-python",)
_SPECIALS = ("bos", "eot", "soh", "eoh", "soa", "sos", "pad")


def report_checkpoint(
    sound: Sound, machine: Machine, speech: SpeechOptions | None, tell: Callable[[str], None], stop: Stop
) -> int:
    """Pass each line of the page about a model and its codec to `tell`, and return the number of problems.

    With `speech` the model is loaded and speaks; without it only files are read.

    Raises:
        MachineError: the model or the codec is missing, incomplete or unreadable, or does not load.
        UsageError: the name is no checkpoint's, or an output file exists that this command did not write.
        Interruption: a signal came.
    """
    model, codec = find_checkpoint(sound.model, "model"), find_checkpoint(sound.codec, "codec")
    layout = read_layout(model.path)
    files = read_model_files(model.path, machine)
    for line in (*_program(machine, model), "", *_model(model, files), *_codec(codec), ""):
        tell(line)
    lines, known, problems = _tokens(model.path, layout, files)
    for line in lines:
        tell(line)
    if speech is not None:
        tell("")
        speaker = CheckpointSpeech(sound, machine, known, speech)
        problems += speaker.report(model.path, codec.path, tell, stop)
    tell("")
    tell(page_line("problems", "none" if not problems else str(len(problems))))
    for problem in problems[:MOST_LISTED]:
        tell(f"  {problem}")
    if len(problems) > MOST_LISTED:
        tell(f"  … and {len(problems) - MOST_LISTED} more")
    return len(problems)


def _program(machine: Machine, model: Checkpoint) -> list[str]:
    """The versions of the program and its libraries, and the machine."""
    import torch

    from maya_batch.engine.device import choose_device

    device = choose_device(machine.device)
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        where = f"{found.name} ({found.major}.{found.minor}), {found.total_memory / 2**30:.1f} GiB"
    else:
        where = f"CPU, {plural(torch.get_num_threads(), 'thread')}"
    names = (*_PACKAGES, *_GGUF_PACKAGES) if is_gguf(model.path) else _PACKAGES
    packages = ", ".join(f"{name} {_version(name)}" for name in names)
    return [
        page_line("program", f"maya-batch {_version('maya-batch')}, Python {platform.python_version()}, {packages}"),
        page_line("machine", f"{platform.system()} {platform.machine()}; {where}"),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _model(model: Checkpoint, files: ModelFiles) -> list[str]:
    """What the model's files contain, and how it is loaded on this machine."""
    return [
        page_line("model", _name_and_size(model)),
        page_line("shape", files.shape),
        page_line("weights", files.weights),
        page_line("loads as", files.loads_as),
    ]


def _codec(codec: Checkpoint) -> list[str]:
    from maya_batch.audio.codec_checkpoint import read_codec_config

    config = read_codec_config(codec.path)
    books = f"{len(config.vq_strides)} codebooks of {config.codebook_size}"
    return [
        page_line("codec", _name_and_size(codec)),
        page_line("", f"{config.sampling_rate} Hz, {books}, {config.frame_samples} samples a frame"),
    ]


def _name_and_size(checkpoint: Checkpoint) -> str:
    sizes = [path.stat().st_size for path in checkpoint.files()]
    revision = f" at {checkpoint.revision[:12]}" if checkpoint.revision else ""
    return f"{public_name(checkpoint.name)}{revision}, {plural(len(sizes), 'file')}, {sum(sizes) / 2**20:,.1f} MiB"


def _tokens(path: Path, layout: TokenLayout, files: ModelFiles) -> tuple[list[str], list[str], list[str]]:
    """The lines about the token layout, the emotion tags that are one token, and the problems.

    Raises:
        MachineError: the tokenizer does not load.
    """
    from maya_batch.engine.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(path)

    def named(*ids: int) -> list[str]:
        with translated_load_errors(path, "the tokenizer"):
            names = [tokenizer.name(id_) for id_ in ids]
        return [quoted(name) if name else "no token" for name in names]

    languages = ", ".join(layout.languages[:MOST_LISTED])
    first, last = layout.slot_start(0), layout.slot_start(SLOTS) - 1
    codes = f"{first} {named(first)[0]} to {last} {named(last)[0]}, {SLOTS} slots of {layout.codebook_size}"
    specials = [getattr(layout, name) for name in _SPECIALS]
    shown = [f"{name} {id_} {text}" for name, id_, text in zip(_SPECIALS, specials, named(*specials), strict=True)]
    known = [tag for tag in layout.tags if tokenizer.known(f"<{tag}>") is not None]
    unknown = [tag for tag in layout.tags if tag not in known]
    lines = [
        page_line("layout", f"{files.layout}; languages {languages}"),
        page_line("codes", codes),
        page_line("vocabulary", f"{files.vocabulary} tokens of the model, {len(tokenizer)} of the tokenizer"),
        *([page_line("", f"the tokenizer is {files.tokenizer}")] if files.tokenizer else []),
        page_line("prompt", ", ".join(shown[:3])),
        page_line("", ", ".join(shown[3:])),
        page_line("EOS", f"{layout.eos} {named(layout.eos)[0]}; {files.eos[0]}"),
        *(page_line("", eos) for eos in files.eos[1:]),
        page_line("tags", f"{len(known)} of {len(layout.tags)} are one token"),
        page_line("clip start", f"the layout drops {in_milliseconds(layout.clip_start_samples, layout)} of each clip"),
    ]
    problems = []
    if files.vocabulary < layout.vocabulary:
        problems.append(f"the layout needs {layout.vocabulary} tokens, and the model has {files.vocabulary}")
    if unknown:
        listed = ", ".join(f"<{tag}>" for tag in unknown[:MOST_LISTED])
        more = f" and {len(unknown) - MOST_LISTED} more" if len(unknown) > MOST_LISTED else ""
        problems.append(f"tags that are not one token would be read aloud: {listed}{more}")
    return lines, known, problems
