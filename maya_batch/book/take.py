"""A take and its file: an ordinary npz of two arrays, `codes` (uint16, [frames, 7]) and `meta` (a JSON string).

Nothing is ever unpickled. NumPy is imported where it is used, as in token_layout.py.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from maya_batch.checkpoint.token_layout import SLOTS, Codes
from maya_batch.engine.api import Finish
from maya_batch.errors import MachineError
from maya_batch.files.npz import read_arrays
from maya_batch.files.safe_open import safe_read
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.voice_pace import Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 8 * 2**20
"""The largest file in a take's folder, in bytes; every take is far smaller: 8 MiB of codes are 13 hours of speech."""


@dataclass(frozen=True)
class StoredCodes:
    """A take's codes, read from the disk when an array is made of them, so a long book takes little memory."""

    path: str
    key: str
    frames: int

    def __len__(self) -> int:
        return self.frames

    def __array__(self, dtype: "np.dtype[Any] | None" = None, copy: bool | None = None) -> "NDArray[Any]":
        """The codes [frames, 7].

        Raises:
            MachineError: the file was changed or damaged since the take was read.
        """
        import numpy as np

        try:
            codes, _ = _read(self.path, self.key)
            if len(codes) != self.frames:
                raise ValueError(f"{len(codes)} frames instead of {self.frames}")
        except Exception as error:  # as in TakeStore.all
            raise MachineError(f"{self.path}: the take cannot be read any more ({error}); render again") from error
        return np.array(codes, dtype)  # a copy, which may be written to


@dataclass(frozen=True)
class Take:
    """One rendering of one chunk, with the results of its checks."""

    key: str
    attempt: int
    codes: "Codes | StoredCodes"
    seed: int
    finish: Finish
    problems: tuple[Problem, ...]
    engine: str
    examined: bool = False
    """Whether its sound was inspected; before that, `problems` are those of its codes."""
    transcript: Transcript | None = None
    """The transcript of the last recognizer; None if it was not transcribed."""
    quiet: float | None = None
    """Seconds of quiet after its last word; None before it is inspected, and if it ends with a tag."""
    judged: Limits | None = field(default_factory=Limits)
    """The limits for its length and its end; None if version 0.1 judged them by other limits."""


def write_take(file: BinaryIO, take: Take) -> None:
    """Write the take into an open file.

    Raises:
        OSError: it cannot be written.
    """
    meta = {
        "key": take.key,
        "attempt": take.attempt,
        "seed": take.seed,
        "finish": take.finish,
        "problems": [[problem.kind, problem.detail] for problem in take.problems],
        "engine": take.engine,
        "seconds": 0.0,  # version 0.1 requires it and does not use it
        "examined": take.examined,
        "hearing": None if take.transcript is None else asdict(take.transcript),
        "quiet": take.quiet,
        "judged": None if take.judged is None else asdict(take.judged),
    }
    import numpy as np

    np.savez(file, codes=np.asarray(take.codes), meta=np.array(json.dumps(meta)))


def read_take(path: str, key: str, codebook_size: int) -> Take:
    """The take in this file; its codes are checked, but stay on the disk.

    Raises:
        ValueError, OSError, zipfile.BadZipFile, …: it is not as `write_take` wrote it, or a code is `codebook_size`
            or more.
    """
    codes, meta = _read(path, key)
    if len(codes) and int(codes.max()) >= codebook_size:
        raise ValueError(f"code {codes.max()} is outside a codebook of {codebook_size}")
    if not len(codes) and meta["finish"] != "broken":
        raise ValueError("no frames")
    problems = tuple(Problem(str(kind), str(detail)) for kind, detail in meta["problems"])
    examined = bool(meta.get("examined", False))  # takes of version 0.1 have no such evidence
    return Take(
        key,
        int(meta["attempt"]),
        StoredCodes(path, key, len(codes)),
        int(meta["seed"]),
        meta["finish"],
        problems,
        str(meta["engine"]),
        examined,
        _hearing(meta.get("hearing")),
        _amount("quiet", meta.get("quiet")),
        _judged(meta.get("judged"), examined),
    )


def _read(path: str, key: str) -> tuple[Codes, dict[str, Any]]:
    """The codes and the metadata of the take in a file."""
    arrays = read_arrays(safe_read(path, LARGEST), LARGEST)
    codes = arrays["codes"]
    meta: dict[str, Any] = json.loads(arrays["meta"].item())
    if codes.dtype != "uint16" or codes.ndim != 2 or codes.shape[1] != SLOTS:
        raise ValueError(f"codes of {codes.dtype} {list(codes.shape)}")
    if (
        meta["key"] != key
        or meta["attempt"] != int(path.rpartition("/")[2].removesuffix(".npz"))
        or meta["attempt"] < 1
    ):
        raise ValueError("it is the take of another chunk")
    if meta["finish"] not in ("eos", "cap", "broken"):
        raise ValueError("its finish is unknown")
    return codes, meta


def _measure(name: str, value: object) -> float:
    """The value, checked to be a number of 0 or more, like all measurements of a take."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value}, not a number of 0 or more")
    return float(value)


def _amount(name: str, value: object) -> float | None:
    """As `_measure`, or None."""
    return None if value is None else _measure(name, value)


def _judged(meta: dict[str, Any] | None, examined: bool) -> Limits | None:
    """The limits. Takes of 0.1 have none: an inspected one keeps its problems, others are judged like new ones."""
    if meta is None:
        return None if examined else Limits()
    return Limits(_amount("pace", meta["pace"]), _amount("quiet", meta["quiet"]))


def _hearing(meta: dict[str, Any] | None) -> Transcript | None:
    if meta is None:
        return None
    unheard = tuple(int(word) for word in meta["unheard"])
    if any(word < 0 for word in unheard):
        raise ValueError("a word before the first one was not heard")
    # Takes of version 0.3 and before have no times.
    starts = tuple(int(_measure("the start of a word", start)) for start in meta.get("starts", ()))
    error = _measure("word_error", meta["word_error"])
    return Transcript(str(meta["recognizer"]), str(meta["text"]), error, unheard, starts)
