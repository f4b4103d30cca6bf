"""The command line: parses, prints, exits. All else is in the modules it calls; only this package prints."""

import io
import logging
import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from maya_batch.cli import book, redo, render, tools
from maya_batch.errors import (
    EXIT_ENVIRONMENT,
    EXIT_STOPPED,
    EXIT_UNEXPECTED,
    EXIT_WHOLE,
    MayaBatchError,
    StoppedError,
)
from maya_batch.stop import Interruption, Stop

log = logging.getLogger(__name__)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (
    render.render,
    book.plan,
    book.status,
    render.assemble,
    redo.redo,
    redo.audition,
    book.clean,
    tools.say,
    tools.fetch,
    tools.doctor,
    tools.bench,
    tools.tags,
    tools.schema,
):
    app.command()(_command)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"maya-batch {version('maya-batch')}")
        raise typer.Exit


@app.callback()
def _program(
    asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Which version is this?")
    ] = False,
) -> None:
    """Turn a book into an audiobook overnight with the Maya1 text-to-speech model."""


def main(stop: Stop | None = None) -> NoReturn:
    """Run the command line; what is wrong ends in one clear line and the exit code of its kind.

    `stop` is one that listens already, where this is not the first thing that the process does.
    """
    # Clips of all lengths would leave the GPU's memory in pieces too small for each other. Read when CUDA starts.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    os.environ.setdefault("PATH", os.defpath)  # pydub cannot do without, and cron need not give one
    if stop is None:
        stop = Stop()
        stop.listen()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a title or file name that the terminal has no letters for
    exit_code = _run(stop)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or full: the interpreter says so at its end
            if stream is not None:
                stream.flush()
    stop.over(exit_code)
    sys.exit(exit_code)


def _run(stop: Stop) -> int:
    """The exit code."""
    try:
        app(standalone_mode=True, obj=stop)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_WHOLE
    except StoppedError as error:
        return _end(str(error), error.exit_code, logging.INFO)  # as was asked for: nothing went wrong
    except MayaBatchError as error:
        return _end(str(error), error.exit_code, cause=error.__cause__)
    except Interruption as error:
        return _end(str(error), EXIT_STOPPED)
    except OSError as error:
        # A disk that is full, a folder that cannot be read: the machine, not the program.
        return _end(f"{error.filename or 'input or output'}: {error.strerror or error}", EXIT_ENVIRONMENT)
    return EXIT_UNEXPECTED


def _end(line: str, exit_code: int, level: int = logging.ERROR, cause: BaseException | None = None) -> int:
    """Say why it ends, on the log too where there is one, so that it stands there in the morning; with its cause."""
    if logging.getLogger("maya_batch").handlers:
        log.log(level, "%s", line, exc_info=cause)
    else:
        print(line, file=sys.stderr)
    return exit_code
