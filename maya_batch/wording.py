"""The wording of messages that more than one test or module relies on: to say one in other words, change it here."""

from shlex import quote

SAVED = "finished takes are saved"
_CONTINUE = f"{SAVED}. Run the same command to continue."

#: A command that was interrupted, and one that the same command continues.
STOPPED = "stopped"
RESUMABLE = f"{STOPPED}; {_CONTINUE}"

NOTHING_TO_DO = "nothing to do: the whole book is rendered"
NOT_TRANSCRIBED = "takes are not checked word by word"
RESTARTED = "starting the run again"


def stopped_by(limit: str) -> str:
    """The line of a run that a flag stopped; `limit` is like "after --max-minutes"."""
    return f"{STOPPED} {limit}; {_CONTINUE}"


def gpu_failed(first: str) -> str:
    """`first` is the first line of PyTorch's error, here and below."""
    return f"the GPU failed ({first}); {SAVED}"


def model_failed(first: str) -> str:
    """What PyTorch raised for another reason."""
    return f"the model or the codec failed ({first}); {SAVED}"


def take_in_use(ref: str, attempt: int) -> str:
    """The take of a chunk that its chapter is made of."""
    return f"{ref}: take {attempt} is now in use"


def rendered_with(folder: object, pinned: str, asked: str) -> str:
    """The first half of the refusal of another model config than a book has."""
    return f"{folder}: this book is rendered with {pinned}, but the command asks for {asked}"


def models_flag(model: str) -> str:
    """How a command names the model that a book is rendered with, where it names another one."""
    return f"the book's model is --model {quote(model)}"


def incomplete(chapters: str) -> str:
    """`chapters` is a count, like "2 chapters"."""
    return f"takes are missing in {chapters}"


def left_out(chapters: str) -> str:
    """Of a run with --chapters; `chapters` is a count, like "2 chapters"."""
    return f"{chapters} not rendered because of --chapters; run `render` without it to continue"


def problems_recorded(problems: str) -> str:
    """`problems` is a count, like "1 problem"."""
    return f"{problems} found"


def cannot_read_back(ref: str, folder: object) -> str:
    """A take that was stored and is damaged or gone."""
    return f"chunk {ref}: its new take cannot be read back from {folder}; check the disk"


def bug(what: str) -> str:
    """An error that nothing expects."""
    return f"this is a bug in maya-batch, please report it: {what}"
