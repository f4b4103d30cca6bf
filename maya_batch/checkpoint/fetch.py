"""Downloads a model or codec from the Hugging Face hub: the only module that uses the network."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from maya_batch.checkpoint.locate import DEMO, MAYA1, is_gguf
from maya_batch.errors import MachineError, UsageError, first_line
from maya_batch.manifest.one_line import HUB_ID
from maya_batch.messages.suggestions import listed

#: The files needed to load safely: no code, and no pickled weights except the codec's one file.
_PATTERNS = ("*.json", "*.safetensors", "tokenizer/*", "tokenizer*", "pytorch_model.bin")

#: The files of a recognizer that faster-whisper loads; its model.bin is in CTranslate2's format, not pickled.
RECOGNIZER_PATTERNS = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")

#: What the hub's client leaves in a folder that it downloads into.
_FETCHED = ".cache/huggingface"


def fetch(name: str, to: Path | None, say: Callable[[str], None], patterns: Sequence[str] = _PATTERNS) -> Path:
    """Download `org/name` or `org/name@revision` into the hub's cache, or as a folder into `to`; return its folder.

    An interrupted download is resumed. Only files that match `patterns` are downloaded.

    Raises:
        UsageError: it is not a hub id, there is no such repository, it has no weights that are loaded from a folder, or
            the folder has files that were not fetched.
        MachineError: the hub cannot be reached, its answer cannot be used, or the disk is full.
    """
    from huggingface_hub import snapshot_download

    repo, revision = _parse(name)
    folder = _target(repo, to)
    say(f"fetching {name} from the Hugging Face hub")
    with _hub_errors(name):
        path = snapshot_download(
            repo,
            revision=revision,
            local_dir=folder,
            allow_patterns=list(patterns),
            # A repository that has safetensors needs no second copy of its weights in pickled form.
            ignore_patterns=["*.bin.index.json"],
        )
    _check_has_weights(name, Path(path), recognizer=patterns is RECOGNIZER_PATTERNS)
    return Path(path)


def fetch_gguf(name: str, pattern: str, to: Path | None, say: Callable[[str], None]) -> Path:
    """Download one GGUF file of `org/name` or `org/name@revision`; return its path.

    `pattern` is the file's name in the repository, or a pattern with `*` and `?` that only this name matches. The file
    goes into the hub's cache, or into the repository's folder in `to`. An interrupted download is resumed.

    Raises:
        UsageError: as in `fetch`, or the pattern matches no GGUF file or several ones.
        MachineError: the hub cannot be reached, or the disk is full.
    """
    from huggingface_hub import hf_hub_download

    repo, revision = _parse(name)
    folder = _target(repo, to)
    files = _gguf_files(name, repo, revision)
    matching = [file for file in files if fnmatchcase(file, pattern)]
    if not matching:
        known = f"its GGUF files: {listed(files)}" if files else "it has no GGUF files"
        raise UsageError(f"{name}: no GGUF file matches --file {pattern}; {known}")
    if len(matching) > 1:
        count = f"{len(matching)} files match --file {pattern}"
        raise UsageError(f"{name}: {count}; choose one of them: {listed(matching)}")
    say(f"fetching {matching[0]} of {name} from the Hugging Face hub")
    with _hub_errors(name):
        return Path(hf_hub_download(repo, matching[0], revision=revision, local_dir=folder))


def _parse(name: str) -> tuple[str, str | None]:
    """The repository and the revision of a hub id; the revision is None if it names none."""
    match = HUB_ID.fullmatch(name)
    if match is None or name.startswith(".") or is_gguf(name):
        raise UsageError(f"{name}: not a hub id like {MAYA1}; the voice `{DEMO}` is built in")
    return match["repo"], match["revision"]


def _target(repo: str, to: Path | None) -> Path | None:
    """The folder to download a repository into; None for the hub's cache."""
    folder = to / repo.rpartition("/")[2] if to is not None else None
    if folder is not None and folder.is_dir() and any(folder.iterdir()) and not (folder / _FETCHED).is_dir():
        raise UsageError(f"{folder} already exists and was not fetched; move it, or choose another --to")
    return folder


def _check_has_weights(name: str, folder: Path, *, recognizer: bool) -> None:
    """Refuse a repository of which nothing was downloaded that could be loaded."""
    if recognizer:
        if not (folder / "model.bin").is_file():
            raise UsageError(f"{name}: it has no model.bin; a recognizer is a Whisper model in CTranslate2's format")
    elif not any(found.name.endswith((".safetensors", ".bin")) for found in folder.glob("*")):
        files = _gguf_files(name, *_parse(name))
        if files:
            raise UsageError(f"{name}: it has only GGUF files; choose one of them with --file: {listed(files)}")
        raise UsageError(f"{name}: it has neither *.safetensors nor pytorch_model.bin, so it is no model or codec")


def _gguf_files(name: str, repo: str, revision: str | None) -> list[str]:
    """The paths of the GGUF files in a repository, sorted; paths that lead out of it are left out."""
    from huggingface_hub import list_repo_files

    with _hub_errors(name):
        files = list_repo_files(repo, revision=revision)
    return sorted(file for file in files if is_gguf(file) and _is_inside(PurePosixPath(file)))


def _is_inside(path: PurePosixPath) -> bool:
    return not path.is_absolute() and ".." not in path.parts


def _http_status(error: BaseException | None) -> str:
    """The answer that led to an error, like `429 Too Many Requests`; empty if there was none."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            phrases = {known.value: known.phrase for known in HTTPStatus}
            return f"{status} {phrases.get(status, '')}".rstrip()
        error = error.__cause__
    return ""


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Raise the errors of the hub's client as those of this program, in one line each."""
    from huggingface_hub.errors import (
        HFValidationError,
        HTTPError,  # of the HTTP library that this version of the hub's client uses
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise UsageError(f"{name}: no such repository or revision on the hub, or it requires a login") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError, ConnectionError) as error:
        if status := _http_status(error):
            raise MachineError(f"{name}: the hub answers {status}; run this again later") from error
        raise MachineError(
            f"{name}: the hub cannot be reached; run this again when the network is back. Without a network, copy the "
            "repository's files into a folder and name it with --model, --codec or --recognizer."
        ) from error
    except ValueError as error:
        # A mirror or a login page of a network answers with something else, or a file is called `../x`.
        raise MachineError(f"{name}: what the hub answered cannot be used ({first_line(error)})") from error
    except OSError as error:
        raise MachineError(
            f"{name}: cannot be stored ({os.strerror(error.errno) if error.errno else error})"
        ) from error
