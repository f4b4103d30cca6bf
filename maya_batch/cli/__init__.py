"""The command line: parses, prints, exits. All else is in the modules it calls; only this package prints."""

import gc
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from maya_batch.cli import inspect, other_commands, render, review
from maya_batch.cli.session import Session
from maya_batch.errors import (
    EXIT_ENVIRONMENT,
    EXIT_STOPPED,
    EXIT_UNEXPECTED,
    EXIT_WHOLE,
    MayaBatchError,
    StoppedError,
    first_line,
)
from maya_batch.interrupt import Interruption, Stop
from maya_batch.messages.printable import printable
from maya_batch.messages.standard_streams import close, keep_going
from maya_batch.torch_errors import out_of_memory

if TYPE_CHECKING:
    from maya_batch.run.loading import Loaders

log = logging.getLogger(__name__)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (
    render.render,
    inspect.plan,
    inspect.status,
    render.assemble,
    review.redo,
    review.audition,
    inspect.clean,
    other_commands.say,
    other_commands.fetch,
    other_commands.doctor,
    other_commands.bench,
    other_commands.tags,
    other_commands.schema,
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


def main(stop: Stop | None = None, loaders: "Loaders | None" = None) -> NoReturn:
    """Run the command line; what is wrong ends in one clear line and the exit code of its kind.

    `stop` is one that is installed already. `loaders` load the model, the codec and the speech recognition, where not
    as usual.
    """
    # Clips of all lengths would leave the GPU's memory in pieces too small for each other. Read when CUDA starts.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    # On a CPU the demo voice's threads meet thousands of times a second. They wait for each other in a loop, by default
    # for 300,000 rounds, which beside other programs is time that the one waited for does not get. Read by PyTorch.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("PATH", os.defpath)  # pydub cannot do without, and cron need not give one
    # Plans and takes are hundreds of thousands of objects that stay: looking through them for cycles took a tenth.
    gc.set_threshold(100_000, 20, 20)
    if stop is None:
        stop = Stop()
        stop.install()
    keep_going()
    exit_code = close(_run(Session(stop, loaders)))
    stop.finished(exit_code)
    sys.exit(exit_code)


def _run(session: Session) -> int:
    """The exit code."""
    try:
        result = app(standalone_mode=False, obj=session)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_WHOLE
    except TyperException as error:
        return _end_of_line(error)
    except typer.Abort:
        return _end(["stopped"], EXIT_STOPPED)  # a question was put, and the terminal is gone
    except StoppedError as error:
        return _end(error.lines(), error.exit_code, logging.INFO)  # as was asked for: nothing went wrong
    except MayaBatchError as error:
        return _end(error.lines(), error.exit_code, cause=error.__cause__)
    except Interruption as error:
        return _end([str(error)], EXIT_STOPPED)
    except Exception as error:
        return _failed(error)
    return result if isinstance(result, int) else EXIT_WHOLE


def _end_of_line(error: TyperException) -> int:
    """A command line that is none: how it is used, and what is wrong with it."""
    context = getattr(error, "ctx", None)
    if context is None or error.format_message() == context.get_help():
        print(error.format_message(), file=sys.stderr)  # nothing was asked for
        return error.exit_code
    print(f"{context.get_usage()}\nError: {printable(error.format_message())}", file=sys.stderr)
    return error.exit_code


def _failed(error: Exception) -> int:
    """The machine, not the program: memory or disk are full, a folder cannot be read, a file cannot be named. Or else
    it is the program, and all that is known of its mistake goes to the log and to the terminal.
    """
    if out_of_memory(error):
        line = f"the memory is full or limited ({first_line(error)}); close other programs, or raise the limit"
        return _end([line], EXIT_ENVIRONMENT, cause=error)
    if isinstance(error, OSError):
        return _end([f"{error.filename or 'input or output'}: {error.strerror or error}"], EXIT_ENVIRONMENT)
    if isinstance(error, UnicodeEncodeError) and error.encoding not in ("utf-8", "utf8"):
        letters = error.object[error.start : error.end]
        line = f"this locale ({error.encoding}) has no letters for a file name with {letters!r}; set LC_ALL=C.UTF-8"
        return _end([line], EXIT_ENVIRONMENT, cause=error)
    for line in traceback.format_exception(error):
        for part in line.splitlines():
            print(printable(part), file=sys.stderr)
    if logging.getLogger("maya_batch").handlers:
        log.critical("a mistake in maya-batch, please report it: %s", first_line(error), exc_info=error)
    return EXIT_UNEXPECTED


def _end(lines: Sequence[str], exit_code: int, level: int = logging.ERROR, cause: BaseException | None = None) -> int:
    """Say why it ends, on the log too where there is one, so that it stands there in the morning; with its cause."""
    on_log = bool(logging.getLogger("maya_batch").handlers)
    for line in lines:
        if on_log:
            log.log(level, "%s", line, exc_info=cause if line is lines[-1] else None)
        else:
            print(printable(line), file=sys.stderr)
    return exit_code
