"""The command line: it parses arguments, prints, and sets the exit code. Other packages log their messages."""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from maya_batch.cli.commands import CommandGroup
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
from maya_batch.wording import bug

if TYPE_CHECKING:
    from maya_batch.run.loading import Loaders

log = logging.getLogger(__name__)

app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"maya-batch {version('maya-batch')}")
        raise typer.Exit


@app.callback()
def _program(
    asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn a book into an audiobook overnight with the Maya1 text-to-speech model."""


def main(stop: Stop | None = None, loaders: "Loaders | None" = None) -> NoReturn:
    """Run the command line. An error is printed as one line and sets the exit code of its kind.

    `stop` is one whose signal handlers are installed already; without it, this installs them. `loaders` replace the
    loading of the model, the codec and the speech recognition.
    """
    # Clips of many lengths would fragment the GPU's memory. Read when CUDA starts.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    # On a CPU the demo voice's threads wait for each other thousands of times a second, by default in a loop of 300,000
    # rounds. While other programs run, that loop takes time from the thread that is waited for. Read by PyTorch.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("PATH", os.defpath)  # pydub needs one, and cron may set none
    if stop is None:
        stop = Stop()
        stop.install()
    keep_going()
    exit_code = close(_run(Session(stop, loaders)))
    stop.finished(exit_code)
    sys.exit(exit_code)


def _run(session: Session) -> int:
    """Run the command and return the exit code."""
    try:
        result = app(standalone_mode=False, obj=session)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_WHOLE
    except TyperException as error:
        return _end_of_line(error)
    except typer.Abort:
        return _end(["stopped"], EXIT_STOPPED)  # a question was asked, and there is no terminal to answer
    except StoppedError as error:
        return _end(error.lines(), error.exit_code, logging.INFO)  # a deadline, which is no error
    except MayaBatchError as error:
        return _end(error.lines(), error.exit_code, cause=error.__cause__)
    except Interruption as error:
        return _end([str(error)], EXIT_STOPPED)
    except Exception as error:
        return _failed(error)
    return result if isinstance(result, int) else EXIT_WHOLE


def _end_of_line(error: TyperException) -> int:
    """Print the usage and what is wrong with the command line."""
    context = getattr(error, "ctx", None)
    if context is None or error.format_message() == context.get_help():
        print(error.format_message(), file=sys.stderr)  # no command was given, so the message is the help
        return error.exit_code
    print(f"{context.get_usage()}\nError: {printable(error.format_message())}", file=sys.stderr)
    return error.exit_code


def _failed(error: Exception) -> int:
    """Print an error that no command handles, and return its exit code.

    A full memory or disk, an unreadable folder and a file name that the locale cannot encode are errors of the
    machine, in one line. Any other error is a bug: its traceback goes to the terminal and to the log.
    """
    if out_of_memory(error):
        line = f"out of memory ({first_line(error)}); close other programs, or raise the memory limit"
        return _end([line], EXIT_ENVIRONMENT, cause=error)
    if isinstance(error, OSError):
        return _end([f"{error.filename or 'input or output'}: {error.strerror or error}"], EXIT_ENVIRONMENT)
    if isinstance(error, UnicodeEncodeError) and error.encoding not in ("utf-8", "utf8"):
        letters = error.object[error.start : error.end]
        line = f"this locale ({error.encoding}) cannot encode {letters!r} in a file name; set LC_ALL=C.UTF-8"
        return _end([line], EXIT_ENVIRONMENT, cause=error)
    for line in traceback.format_exception(error):
        for part in line.splitlines():
            print(printable(part), file=sys.stderr)
    if logging.getLogger("maya_batch").handlers:
        log.critical("%s", bug(first_line(error)), exc_info=error)
    return EXIT_UNEXPECTED


def _end(lines: Sequence[str], exit_code: int, level: int = logging.ERROR, cause: BaseException | None = None) -> int:
    """Log why the command ends, with the cause if there is one; without a log, print it. Return the exit code."""
    logged = bool(logging.getLogger("maya_batch").handlers)
    for line in lines:
        if logged:
            log.log(level, "%s", line, exc_info=cause if line is lines[-1] else None)
        else:
            print(printable(line), file=sys.stderr)
    return exit_code
