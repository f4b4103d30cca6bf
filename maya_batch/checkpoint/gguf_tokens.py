"""Checks the vocabulary in a GGUF file as strictly as llama.cpp's loader (src/llama-vocab.cpp) needs it."""

from collections import Counter
from typing import Any

from maya_batch.checkpoint.gguf_file import GgufFile
from maya_batch.messages.plural import plural
from maya_batch.messages.quoting import quoted

HF_JSON = "tokenizer.huggingface.json"
"""The key of a whole tokenizer.json."""

IN_FILE = "the tokenizer.json in the file"
NEXT_TO_FILE = "the tokenizer.json next to the file"
OF_LLAMA_CPP = "llama.cpp's, with the vocabulary in the file"
"""Where the tokenizer of a GGUF file is from."""

MOST_TOKENS = 2**22
"""A bound far above Maya1's 156,940 tokens."""

_MODEL = "tokenizer.ggml.model"
_PRE = "tokenizer.ggml.pre"
_TOKENS = "tokenizer.ggml.tokens"
_TOKEN_TYPES = "tokenizer.ggml.token_type"
_SCORES = "tokenizer.ggml.scores"
_MERGES = "tokenizer.ggml.merges"
_SIZE = "llama.vocab_size"

#: The names by which llama.cpp knows how Llama 3's tokenizer, which is Maya1's, splits a text before the merges.
_SPLITS = ("llama-bpe", "llama3", "llama-v3", "smaug-bpe")

#: Normal, unknown, control, user-defined and unused. llama.cpp ends the process on a token of the sixth type, a byte.
_LEAST_TYPE, _MOST_TYPE = 1, 5

#: The ids of special tokens; the misspelt one is llama.cpp's.
_IDS = (
    "bos",
    "eos",
    "eot",
    "eom",
    "unknown",
    "seperator",
    "padding",
    "cls",
    "mask",
    "fim_pre",
    "fim_suf",
    "fim_mid",
    "fim_pad",
    "fim_rep",
    "fim_sep",
    "prefix",
    "suffix",
    "middle",
)
_BOOLEANS = (
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "normalizer.lowercase",
    "normalizer.strip_accents",
)


def tokenizer_source(file: GgufFile) -> str:
    """Where the file's tokenizer is from: `IN_FILE`, `NEXT_TO_FILE` or `OF_LLAMA_CPP`.

    A tokenizer.json comes first, because llama.cpp knows no normalizers.
    """
    if isinstance(file.metadata.get(HF_JSON), str):
        return IN_FILE
    return NEXT_TO_FILE if (file.path.parent / "tokenizer.json").is_file() else OF_LLAMA_CPP


def check_vocabulary(file: GgufFile) -> int:
    """Check the vocabulary of a file.

    Returns the number of its tokens. A file without a vocabulary (the model `none`) must have a tokenizer.json.

    Raises:
        ValueError: llama.cpp does not load it, or would split texts in another way than Maya1 does.
    """
    json = file.value(HF_JSON, "str")
    model = file.value(_MODEL, "str")
    size = file.value(_SIZE, "u32")
    file.value(_PRE, "str")
    file.value("tokenizer.ggml.token_type_count", "u32")
    if model in ("none", "no_vocab"):
        if not json:
            raise ValueError("it has no vocabulary")
        count = _needed(file, _SIZE, "u32")
    elif model == "gpt2":
        count = _check_tokens(file)
        _check_special(file, count)
        _check_merges(file)
    else:
        raise ValueError(f"{_MODEL} is {quoted(model)}, but Maya1's is gpt2")
    if not 1 <= count <= MOST_TOKENS:
        raise ValueError(f"it has {quoted(count)} tokens; it must have 1 to {MOST_TOKENS:,}")
    if size is not None and size != count:
        raise ValueError(f"{_SIZE} is {size}, but it has {plural(count, 'token')}")
    return int(count)


def _check_tokens(file: GgufFile) -> int:
    """Check the tokens, their types and their scores; returns how many there are."""
    tokens: tuple[str, ...] = _needed(file, _TOKENS, "[str]")
    count = len(tokens)
    # llama.cpp reads a token up to a NUL, names an empty one itself, and ends the process where two are the same.
    for number, token in enumerate(tokens):
        if not token or "\0" in token:
            raise ValueError(f"the token {number} is empty or has a NUL")
    if len(set(tokens)) != count:
        twice = Counter(tokens).most_common(1)[0][0]
        raise ValueError(f"the token {quoted(twice)} is there twice")
    types = _needed(file, _TOKEN_TYPES, "[i32]")
    if len(types) != count:
        raise ValueError(f"{_TOKEN_TYPES} has {len(types):,} values for {count:,} tokens")
    if count and not _LEAST_TYPE <= types.min() <= types.max() <= _MOST_TYPE:
        raise ValueError(f"{_TOKEN_TYPES} has a value outside {_LEAST_TYPE} to {_MOST_TYPE}")
    scores = file.value(_SCORES, "[f32]", "[i32]")
    if scores is not None and len(scores) != count:
        raise ValueError(f"{_SCORES} has {len(scores):,} values for {count:,} tokens")
    return count


def _check_merges(file: GgufFile) -> None:
    split = file.value(_PRE, "str")
    if split not in _SPLITS:
        raise ValueError(f"{_PRE} is {quoted(split)}; Maya1's is {_SPLITS[0]}")
    for number, merge in enumerate(_needed(file, _MERGES, "[str]")):
        left, _, right = merge.partition(" ")
        if not left or not right or " " in right or "\0" in merge:
            raise ValueError(f"the merge {number} is {quoted(merge)}; it must be two texts with a space between them")


def _check_special(file: GgufFile, count: int) -> None:
    for name in _IDS:
        key = f"tokenizer.ggml.{name}_token_id"
        token = file.value(key, "u32")
        if token is not None and token >= count:
            raise ValueError(f"{key} is {token}, but there are {count:,} tokens")
    for name in _BOOLEANS:
        file.value(f"tokenizer.ggml.{name}", "bool")
    file.value("tokenizer.ggml.suppress_tokens", "[i32]")
    name = file.value("general.name", "str") or ""
    if "phi-3" in name.lower() or "phi3" in name.lower():
        # llama.cpp then changes the types of tokens that only a Phi-3 has.
        raise ValueError(f"general.name is {quoted(name)}, but Maya1 is not a Phi-3")


def _needed(file: GgufFile, key: str, kind: str) -> Any:
    value = file.value(key, kind)
    if value is None:
        raise ValueError(f"it lacks {key}")
    return value
