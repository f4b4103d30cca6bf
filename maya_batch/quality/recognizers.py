"""Which Whisper models are on this disk, and under which names. Nothing here uses the network.

Importing faster-whisper takes seconds, so the check for a default model, which every command makes, does not import it.
"""

from importlib.util import find_spec
from pathlib import Path

from maya_batch.checkpoint.locate import cached_snapshot
from maya_batch.errors import MachineError, UsageError
from maya_batch.manifest.one_line import HUB_ID
from maya_batch.messages.install_hint import install_hint
from maya_batch.text.language import base_language

#: The files of a CTranslate2 model.
_FILES = ("config.json", "model.bin", "tokenizer.json")

#: The default models: small.en knows names and numbers that smaller ones do not.
_ENGLISH, _OTHER_LANGUAGES = "small.en", "small"

#: The hub ids of the models that faster-whisper names (docstring of `faster_whisper.download_model`).
_HUB_ID = "Systran/faster-whisper-{}"
#: The exceptions. faster-whisper has no public function for them; a test checks each against faster-whisper.
_OTHER_HUB_IDS = {
    "large": "Systran/faster-whisper-large-v3",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}


def default_recognizer(language: str) -> str:
    """The name of the default model for a book's language."""
    return _ENGLISH if base_language(language) == "en" else _OTHER_LANGUAGES


def recognizer_installed() -> bool:
    """Whether faster-whisper is installed. Does not import it."""
    return find_spec("faster_whisper") is not None


def check_installed() -> None:
    """Do nothing if faster-whisper is installed.

    Raises:
        MachineError: it is not.
    """
    if not recognizer_installed():
        raise MachineError(f"speech recognition is not installed; run `{install_hint('verify')}`")


def recognizer_ready(name: str) -> bool:
    """Whether faster-whisper is installed and all files of this model are on this disk."""
    if not recognizer_installed():
        return False
    try:
        find_recognizer(name)
    except (MachineError, UsageError):
        return False
    return True


def recognizers_here() -> list[str]:
    """The models that faster-whisper names and whose files are all on this disk.

    Raises:
        ImportError: faster-whisper cannot be loaded.
    """
    from faster_whisper import available_models

    return [name for name in available_models() if recognizer_ready(name)]


def recognizer_repository(name: str) -> str:
    """The hub id of a model that faster-whisper names, like small.en; a hub id is returned unchanged.

    Raises:
        MachineError: faster-whisper is not installed.
        UsageError: faster-whisper has no model of this name.
    """
    check_installed()
    if "/" in name:
        return name
    if name not in (_ENGLISH, _OTHER_LANGUAGES):
        from faster_whisper import available_models

        known = available_models()
        if name not in known:
            raise UsageError(f"recognizer {name}: unknown; use one of {', '.join(known)}, a hub id or a folder")
    return _OTHER_HUB_IDS.get(name, _HUB_ID.format(name))


def find_recognizer(name: str) -> Path:
    """The folder of a model, given as a folder, as faster-whisper's name or as a hub id.

    Raises:
        MachineError: faster-whisper is not installed, or the model is missing or incomplete on this disk.
        UsageError: there is no model of this name.
    """
    try:
        folder = Path(name).expanduser()
    except RuntimeError as error:
        raise UsageError(f"recognizer {name}: the home folder is not known; write the path without ~") from error
    if folder.is_absolute() or name.startswith(".") or folder.is_dir():
        missing = [file for file in _FILES if not (folder / file).is_file()]
        if missing:
            raise MachineError(
                f"recognizer {name}: the folder has no {missing[0]}; give that of a CTranslate2 Whisper model"
            )
        return folder
    repository = recognizer_repository(name)
    match = HUB_ID.fullmatch(repository)
    if match is None:
        raise UsageError(f"recognizer {name}: not a folder, a known name or a hub id")
    snapshot = cached_snapshot(match["repo"], match["revision"] or "main")
    if snapshot is None or not all((snapshot / file).is_file() for file in _FILES):
        what = "is not on this disk" if snapshot is None else "is incomplete"
        mend = f"run `maya-batch fetch --recognizer {name}`, or use --verify off"
        raise MachineError(f"recognizer {name} {what}; {mend}")
    return snapshot
