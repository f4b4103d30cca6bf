"""The command that makes a GGUF file of a model."""

import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from tqdm import tqdm

from maya_batch.checkpoint.gguf_convert import Converted, FileType, check_target
from maya_batch.checkpoint.gguf_convert import convert as convert_checkpoint
from maya_batch.checkpoint.locate import absolute_name, find_checkpoint, is_gguf
from maya_batch.cli.session import Session
from maya_batch.errors import UsageError
from maya_batch.messages.logs import log_to_terminal
from maya_batch.messages.printable import printable
from maya_batch.run.command_guard import guarded


def convert(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Model to convert: `demo`, a hub id, or a folder.", show_default=False)],
    path: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, *.gguf. It must not exist yet.", show_default=False)
    ],
    kind: Annotated[
        FileType,
        typer.Option(
            "--type",
            metavar="|".join(get_args(FileType)),
            help="Number format of the weights. f16 speaks as the checkpoint does; the smaller ones take less memory, "
            "and their speech differs a little.",
        ),
    ] = "f16",
) -> None:
    """Convert a model to a GGUF file, which llama.cpp runs on a CPU or a small GPU.

    It prints what the tensors became: llama.cpp uses another type where rows do not fit the one that was asked for.

    Example: `maya-batch convert maya-research/maya1 -o maya1-q4_k_m.gguf --type q4_k_m`.
    """
    log_to_terminal(False, False)
    if is_gguf(model):
        raise UsageError(f"{model} is a GGUF file already; convert takes a folder, a hub id, or `demo`")
    check_target(path)
    checkpoint = find_checkpoint(absolute_name(model, Path.cwd()), "model")
    bars = _Bars()
    with guarded(context.ensure_object(Session).stop):
        try:
            converted = convert_checkpoint(checkpoint, path, kind, bars.move)
        finally:
            bars.close()
    for line in _lines(path, kind, converted):
        print(printable(line))


def _lines(path: Path, kind: FileType, converted: Converted) -> list[str]:
    lines = [f"{path}  {kind}, {converted.size / 2**20:,.1f} MiB"]
    for name, types in converted.types.items():
        counts = ", ".join(f"{count} x {type_}" for type_, count in types.most_common())
        lines.append(f"  {name}: {counts}")
    return lines


class _Bars:
    """A bar on standard error for each stage; none if that is not a terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: tqdm[Any] | None = None

    def move(self, stage: str, done: int, total: int) -> None:
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage = stage
            writes = stage == "write"
            self._bar = tqdm(
                total=total,
                desc=stage,
                unit="B" if writes else "tensor",
                unit_scale=writes,
                file=sys.stderr,
                leave=False,
                disable=None,
            )
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
