"""The one-line strings of book.yaml (titles, names, paths), and the rules for each."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StrictBool, StrictStr, StringConstraints
from pydantic_core import PydanticCustomError

from maya_batch.messages.quoting import quoted

LONGEST_LINE = 1000
"""The longest title, name, description or path, in characters."""
MOST_LEVELS = 32
"""The deepest path, in folders."""

_FLAGS = {"true": True, "yes": True, "false": False, "no": False}

_VOICE_NAME = re.compile(r"[A-Za-z]([\w -]{0,38}[\w-])?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)
"""`org/name` or `org/name@revision` on the Hugging Face hub."""
GGUF_SUFFIX = ".gguf"
"""A model whose name ends in this is a file, never a hub id or a folder."""


def wrong(what: str, mend: str = "", at: str = "") -> PydanticCustomError:
    """The validation error with this message; `at` is the wrong key if it may be one of several."""
    context = {"what": what, "mend": mend} | ({"at": at} if at else {})
    return PydanticCustomError("manifest", "{what}", context)


def _one_line(text: str) -> str:
    if not text:
        raise wrong("is empty")
    if len(text.splitlines()) > 1:
        raise wrong("must be one line", "for a long line use `>-` and indent the lines")
    if len(text) > LONGEST_LINE:
        raise wrong(f"has {len(text)} characters; the limit is {LONGEST_LINE}")
    for character in text:
        # The last are no characters, and stand in no XML, of which EPUBs are made.
        if unicodedata.category(character) in ("Cc", "Cs") or ord(character) & 0xFFFE == 0xFFFE:
            raise wrong(f"contains the control character U+{ord(character):04X}", "delete it")
    return text


def _path(path: str) -> str:
    levels = len(path.split("/"))
    if levels > MOST_LEVELS:
        raise wrong(f"is {levels} folders deep; the limit is {MOST_LEVELS}")
    return path


def _description(text: str) -> str:
    bad = next((character for character in text if character in '"<>'), None)
    if bad:
        raise wrong(f"contains {bad}, which would end the description early", "delete it")
    return text


def _voice_name(name: str) -> str:
    if not _VOICE_NAME.fullmatch(name):
        what = f"{quoted(name)} is not a valid voice name"
        raise wrong(what, "begin with a letter and go on with letters, digits, spaces, - and _; 40 characters at most")
    return name


def _language(code: str) -> str:
    if not _LANGUAGE.fullmatch(code):
        raise wrong(f"{quoted(code)} is not a language code", "write one like `en` or `en-GB`")
    return code


def _folder(folder: str) -> str:
    if folder.startswith(("/", "~")):
        mend = "write a path inside the manifest's folder; `--output` takes any folder"
        raise wrong(f"{quoted(folder)} is not relative to the manifest's folder", mend)
    return folder


def _checkpoint(name: str, flag: str) -> str:
    if name.startswith(("/", "~")) or ".." in name.partition("@")[0].split("/"):
        what = f"{quoted(name)} is not a path inside the manifest's folder"
        raise wrong(what, f"move it there, or name it with `{flag}`, which takes any path")
    return name


def _flag_or_line(value: object) -> object:
    """`true` and `false` as booleans; other text must be one line."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower()) if value.strip().lower() in _FLAGS else _one_line(value.strip())
    if isinstance(value, bool):
        return value
    raise wrong(f"must be true, false or a line of text, not {quoted(value)}")


def is_hub_id(name: str) -> bool:
    """Whether a model's name is a hub id, `org/name` or `org/name@revision`.

    Names that start with `./` or end in `.gguf` are paths.
    """
    return not name.startswith("./") and not name.endswith(GGUF_SUFFIX) and HUB_ID.fullmatch(name) is not None


Line = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_one_line)]
FlagOrLine = Annotated[StrictBool | StrictStr, BeforeValidator(_flag_or_line)]
"""true, false, or a text."""
FilePath = Annotated[Line, AfterValidator(_path)]
Description = Annotated[Line, AfterValidator(_description)]
VoiceName = Annotated[str, AfterValidator(_voice_name)]
Language = Annotated[Line, AfterValidator(_language)]
Folder = Annotated[FilePath, AfterValidator(_folder)]
Model = Annotated[FilePath, AfterValidator(lambda name: _checkpoint(name, "--model"))]
Codec = Annotated[FilePath, AfterValidator(lambda name: _checkpoint(name, "--codec"))]
