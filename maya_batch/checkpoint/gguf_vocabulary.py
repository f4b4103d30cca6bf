"""The vocabulary that a GGUF file has, from a checkpoint's tokenizer.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.errors import MachineError, UsageError, first_line
from maya_batch.files.json_file import read_json
from maya_batch.messages.quoting import quoted

#: The largest tokenizer.json, in bytes; Llama's takes 17 MB.
_MOST_BYTES = 64_000_000

#: llama.cpp's types of tokens (llama_token_type in llama.h).
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5

#: llama.cpp refuses a vocabulary without merges. This pair never occurs: only a merge could make its two halves.
_NO_MERGE = "ĠĠ ĠĠ"


@dataclass(frozen=True)
class GgufVocabulary:
    """The tokens by their ids, and how llama.cpp builds them."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    """Pairs with a space between, the first to merge first."""
    json: str
    """The whole tokenizer.json."""


def read_vocabulary(folder: Path, rows: int, layout: TokenLayout) -> GgufVocabulary:
    """The vocabulary of the checkpoint in `folder`, with one token for each of the embedding's `rows`.

    An id that the tokenizer does not use gets a placeholder. Special tokens are control tokens for llama.cpp, and
    emotion tags user-defined ones, which it finds in a text.

    Raises:
        MachineError: there is no tokenizer.json, or it is not a tokenizer of this model.
        UsageError: the tokenizer is not a byte-level BPE.
    """
    path = _find(folder)
    try:
        data = read_json(path, _MOST_BYTES)
        text = path.read_text(encoding="utf-8")
        model, added = data["model"], data["added_tokens"] or []
        byte_level = model.get("type") == "BPE" and (data.get("decoder") or {}).get("type") == "ByteLevel"
        if not byte_level:
            raise UsageError(f"{path}: not a byte-level BPE tokenizer, which Maya1 has; convert takes no other")
        texts = _texts(model["vocab"], added, rows)
        types = _types(added, rows, {f"<{tag}>" for tag in layout.tags})
        merges = [_pair(merge) for merge in model["merges"]] or [_NO_MERGE]
        for token in (*texts.values(), *merges):
            token.encode()  # JSON may have lone surrogates, which UTF-8 cannot encode
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise MachineError(
            f"{path}: the tokenizer does not load ({first_line(error)}); fetch the model again"
        ) from error
    taken = set(texts.values())
    for id_ in range(rows):
        if id_ not in texts:
            texts[id_] = _placeholder(id_, taken)
            types[id_] = UNUSED
    return GgufVocabulary([texts[id_] for id_ in range(rows)], types, merges, text)


def _find(folder: Path) -> Path:
    """The tokenizer.json in the checkpoint's root, else in `tokenizer/`, where Maya1's repository has it."""
    for path in (folder / "tokenizer.json", folder / "tokenizer" / "tokenizer.json"):
        if path.is_file():
            return path
    raise MachineError(f"{folder}: no tokenizer.json here or in tokenizer/; fetch the model again")


def _texts(vocab: dict[str, Any], added: list[dict[str, Any]], rows: int) -> dict[int, str]:
    """The text of each id.

    Raises:
        ValueError: an id is not one of the embedding's, or two ids have the same text, or an id has two.
    """
    texts: dict[int, str] = {}
    for token, id_ in [*vocab.items(), *((entry["content"], entry["id"]) for entry in added)]:
        if type(id_) is not int or not 0 <= id_ < rows:
            raise ValueError(f"the id of {quoted(token)} is {quoted(id_)}, but the embedding has {rows} rows")
        if not isinstance(token, str):
            raise ValueError(f"the text of id {id_} is {quoted(token)}")
        if not token or "\0" in token:
            raise ValueError(f"the text of id {id_} is empty or has a NUL")
        if texts.setdefault(id_, token) != token:
            raise ValueError(f"the id {id_} is both {quoted(texts[id_])} and {quoted(token)}")
    ids: dict[str, int] = {}
    for id_, token in texts.items():
        if ids.setdefault(token, id_) != id_:
            raise ValueError(f"the ids {ids[token]} and {id_} are both {quoted(token)}")
    return texts


def _types(added: list[dict[str, Any]], rows: int, tags: set[str]) -> list[int]:
    types = [NORMAL] * rows
    for entry in added:
        special = entry.get("special") is True and entry["content"] not in tags
        types[entry["id"]] = CONTROL if special else USER_DEFINED
    return types


def _pair(merge: object) -> str:
    """A merge as llama.cpp reads it. Files of tokenizers have "a b" or ["a", "b"]."""
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
        raise ValueError(f"the merge {quoted(merge)} is not a pair")
    if any(" " in part for part in parts):
        raise ValueError(f"a part of the merge {quoted(' '.join(parts))} has a space")
    return " ".join(parts)


def _placeholder(id_: int, taken: set[str]) -> str:
    name = f"[UNUSED{id_}]"
    while name in taken:
        name += "_"
    taken.add(name)
    return name
