"""The commands by their names. A command's module is imported when the command is looked up: all of them and what they
need would take half of the time in which `maya-batch plan` shows a short book.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup


class _Command(NamedTuple):
    """Where a command is, and what it does in the 66 characters that a line of the help has."""

    module: str
    """In this package."""
    function: str
    help: str


#: In the order of the help.
_COMMANDS = {
    "import": _Command("import_book", "import_book", "Make a book of an EPUB, DOCX, Markdown, HTML or text file."),
    "render": _Command("render", "render", "Render what has no take yet, and write the chapters."),
    "plan": _Command("inspect", "plan", "Show chapters, chunks, length and mistakes; nothing is rendered."),
    "preview": _Command("review", "preview", "Render the first half minute of each chapter and each voice."),
    "status": _Command("inspect", "status", "Show what is rendered, and which chunks have problems."),
    "words": _Command("words", "words", "List names and unusual words, the most frequent first."),
    "assemble": _Command("render", "assemble", "Write the chapters and the M4B again from stored takes."),
    "check": _Command("check", "check", "Compare finished files with what a store asks for."),
    "redo": _Command("review", "redo", "Make a new take of chunks, or choose another stored take."),
    "audition": _Command("review", "audition", "Speak a voice with several seeds, or a word in several ways."),
    "clean": _Command("inspect", "clean", "List what the book no longer uses, ask, and delete it."),
    "say": _Command("other_commands", "say", "Speak one text into one file."),
    "fetch": _Command("other_commands", "fetch", "Download a model, a codec or a speech recognition model."),
    "convert": _Command("convert", "convert", "Convert a model to a GGUF file, which llama.cpp runs."),
    "doctor": _Command("other_commands", "doctor", "Check whether this machine can render, or report on a model."),
    "bench": _Command("other_commands", "bench", "Measure how fast this machine renders."),
    "tags": _Command("other_commands", "tags", "List the emotion tags that a model knows."),
    "schema": _Command("other_commands", "schema", "Print the JSON Schema of the manifest, for editors."),
}


class Commands(Mapping[str, Any]):
    """Each command as Typer makes it, once."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            command = _COMMANDS[name]
            one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            one.command(name)(getattr(import_module(f"maya_batch.cli.{command.module}"), command.function))
            self._made[name] = typer.main.get_command(one)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class CommandGroup(TyperGroup):
    """`maya-batch` itself."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands()  # type: ignore[assignment]  # Typer only looks commands up

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, without importing each for its help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in _COMMANDS.items()])
