"""Downloads a model or codec from the Hugging Face hub: the only module that uses the network."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from maya_batch.checkpoint.locate import DEMO, MAYA1
from maya_batch.errors import MachineError, UsageError
from maya_batch.manifest.one_line import HUB_ID

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
        UsageError: it is not a hub id, there is no such repository, or the folder has files that were not fetched.
        MachineError: the hub cannot be reached, or the disk is full.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        HTTPError,  # of the HTTP library that this version of the hub's client uses
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match = HUB_ID.fullmatch(name)
    if match is None:
        raise UsageError(f"{name}: not a hub id like {MAYA1}; the voice `{DEMO}` is built in")
    repo = match["repo"]
    folder = to / repo.rpartition("/")[2] if to is not None else None
    if folder is not None and folder.is_dir() and any(folder.iterdir()) and not (folder / _FETCHED).is_dir():
        raise UsageError(f"{folder} already exists and was not fetched; move it, or choose another --to")
    say(f"fetching {name} from the Hugging Face hub")
    try:
        path = snapshot_download(
            repo,
            revision=match["revision"],
            local_dir=folder,
            allow_patterns=list(patterns),
            # A repository that has safetensors needs no second copy of its weights in pickled form.
            ignore_patterns=["*.bin.index.json"],
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise UsageError(f"{name}: no such repository or revision on the hub, or it requires a login") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError, ConnectionError) as error:
        raise MachineError(
            f"{name}: the hub cannot be reached; run this again when the network is back. Without a network, copy the "
            "repository's files into a folder and name it with --model, --codec or --recognizer."
        ) from error
    except OSError as error:
        raise MachineError(
            f"{name}: cannot be stored ({os.strerror(error.errno) if error.errno else error})"
        ) from error
    return Path(path)
