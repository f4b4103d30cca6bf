"""The commands by their names. A command's module is imported when the command is looked up: all of them and what they
need would take half of the time in which `maya-batch plan` shows a short book.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

#: In the order of the help: the module in this package, and the function in it.
_COMMANDS = {
    "import": ("import_book", "import_book"),
    "render": ("render", "render"),
    "plan": ("inspect", "plan"),
    "preview": ("review", "preview"),
    "status": ("inspect", "status"),
    "words": ("words", "words"),
    "assemble": ("render", "assemble"),
    "check": ("check", "check"),
    "redo": ("review", "redo"),
    "audition": ("review", "audition"),
    "clean": ("inspect", "clean"),
    "say": ("other_commands", "say"),
    "fetch": ("other_commands", "fetch"),
    "convert": ("convert", "convert"),
    "doctor": ("other_commands", "doctor"),
    "bench": ("other_commands", "bench"),
    "tags": ("other_commands", "tags"),
    "schema": ("other_commands", "schema"),
}


class Commands(Mapping[str, Any]):
    """Each command as Typer makes it, once."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, function = _COMMANDS[name]
            one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            one.command(name)(getattr(import_module(f"maya_batch.cli.{module}"), function))
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
