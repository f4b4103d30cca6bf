"""The command reference, generated from the commands themselves.

`python -m maya_batch.cli.reference > maya_batch/cli/README.md` writes it. A test fails if that file is not up to date.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from maya_batch.cli import app

_HEAD = """\
# Commands

Generated from the code by `python -m maya_batch.cli.reference`; do not edit it. `maya-batch COMMAND --help` shows the
same texts, and `maya-batch --version` the version. [The README](../../README.md) shows the commands in use.
"""

_TYPES = {str: "text", int: "integer", float: "number", Path: "path"}


def reference() -> str:
    """All commands in Markdown, in the order of `maya-batch --help`."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = [_HEAD, "| command | |\n|---|---|"]
    parts += [f"| [`{name}`](#{name}) | {_paragraphs(command)[0]} |" for name, command in commands.items()]
    for name, command in commands.items():
        arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
        usage = " ".join(["maya-batch", name, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)])
        parts += [f"\n## {name}\n", f"`{usage}`", *(f"\n{paragraph}" for paragraph in _paragraphs(command))]
        if command.params:
            parts.append("\n| | value | |\n|---|---|---|")
            parts += [f"| `{_argument(each)}` | {_values(each)} | {_help(each)} |" for each in arguments]
            parts += [f"| {_names(each)} | {_values(each)} | {_help(each)} |" for each in options]
    return "\n".join(parts) + "\n"


def _paragraphs(command: Any) -> list[str]:
    """The help of a command, a line for each paragraph."""
    return [" ".join(paragraph.split()) for paragraph in command.help.split("\n\n")]


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).removesuffix("...")
    several = "..." if argument.nargs == -1 else ""
    return f"{name}{several}" if argument.required else f"[{name}{several}]"


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in option.opts)


def _values(parameter: Any) -> str:
    """What a parameter takes: its choices or its type; nothing for a flag."""
    if getattr(parameter, "is_flag", False):
        return ""
    if parameter.metavar and "|" in parameter.metavar:
        return ", ".join(f"`{choice}`" for choice in parameter.metavar.split("|"))
    annotation = parameter.type_descriptor.annotation
    return _TYPES[get_args(annotation)[0] if get_origin(annotation) is list else annotation]


def _help(parameter: Any) -> str:
    return " ".join([parameter.help, *_limits(parameter)]).replace("|", r"\|")


def _limits(parameter: Any) -> Iterator[str]:
    """What Typer knows of a parameter besides its help."""
    is_option = parameter.param_type_name == "option"
    if parameter.min is not None:
        yield f"At least {parameter.min:g}."
    if parameter.max is not None:
        yield f"At most {parameter.max:g}."
    if is_option and parameter.multiple:
        yield "May be given several times."
    if is_option and parameter.required:
        yield "Required."
    if parameter.default not in (None, False):
        yield f"Default: `{parameter.default}`."


if __name__ == "__main__":
    print(reference(), end="")
