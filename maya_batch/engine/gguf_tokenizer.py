"""The tokenizer of a GGUF file: in the file as tokenizer.json, next to it, or llama.cpp's from its vocabulary.

The first two come before the third, because llama.cpp knows no normalizers.
"""

import ctypes
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from maya_batch.checkpoint.gguf_file import GgufFile
from maya_batch.checkpoint.gguf_tokens import HF_JSON, IN_FILE, NEXT_TO_FILE, tokenizer_source
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.llama_model import LlamaModel
from maya_batch.engine.prompts import TextTokenizer
from maya_batch.errors import MachineError
from maya_batch.torch_errors import translated_load_errors

log = logging.getLogger(__name__)

#: The most bytes of a tokenizer.json; Llama's vocabulary takes 17 MB.
_MOST_BYTES = 64_000_000

#: Kinds of tokens in a GGUF file that are not text: llama.cpp's LLAMA_TOKEN_TYPE_CONTROL and _USER_DEFINED.
_SPECIAL_TYPES = (3, 4)

#: The characters that stand for the 256 bytes in a vocabulary like GPT-2's: printable ones for themselves, the others
#: for the next from U+0100 on.
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_BYTES = (*map(chr, _PRINTABLE), *(chr(0x100 + number) for number in range(256 - len(_PRINTABLE))))

_SPECIALS = ("soh", "bos", "eot", "eoh", "soa", "sos", "eos", "pad")


def load_gguf_tokenizer(file: GgufFile, layout: TokenLayout, model: LlamaModel | None = None) -> TextTokenizer:
    """Load the tokenizer of a file; `model` is the loaded model, if it is loaded already.

    Raises:
        MachineError: it does not load, or the file's own vocabulary lacks special tokens of Maya1.
    """
    source = tokenizer_source(file)
    log.log(logging.DEBUG if source == IN_FILE else logging.INFO, "%s: the tokenizer is %s", file.path.name, source)
    if source == IN_FILE:
        return JsonTokenizer(file.value(HF_JSON, "str"), file.path)
    if source == NEXT_TO_FILE:
        next_to_it = file.path.parent / "tokenizer.json"
        if next_to_it.stat().st_size > _MOST_BYTES:
            raise MachineError(f"{next_to_it}: larger than {_MOST_BYTES:,} bytes; fetch it again")
        with translated_load_errors(next_to_it, "the tokenizer"):
            text = next_to_it.read_text(encoding="utf-8")
        return JsonTokenizer(text, next_to_it)
    _check_specials(file, layout)
    return VocabularyTokenizer(model or LlamaModel(file.path, gpu_layers=0, vocabulary_only=True))


class JsonTokenizer:
    """A tokenizer.json, run by the package tokenizers."""

    def __init__(self, text: str, path: Path) -> None:
        """`path` is where the JSON was read from, for messages.

        Raises:
            MachineError: it is not a tokenizer.
        """
        self.path = path
        with translated_load_errors(path, "the tokenizer"):
            self._tokenizer = Tokenizer.from_str(text)
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            self._unknown = json.loads(text)["model"].get("unk_token")
            self.encode(["Yes."])  # some fail only at the first use

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens around it."""
        return [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def name(self, token: int) -> str | None:
        """The text of a token; None if there is no token of this id."""
        name: str | None = self._tokenizer.id_to_token(token)
        return name

    def __len__(self) -> int:
        """The number of tokens."""
        return int(self._tokenizer.get_vocab_size())

    def known(self, text: str) -> int | None:
        """The id of a text that is one token, other than the token for unknown text; None for all other texts."""
        ids = self.encode([text])[0]
        return ids[0] if len(ids) == 1 and self.name(ids[0]) != self._unknown else None


class VocabularyTokenizer:
    """llama.cpp's tokenizer, with the vocabulary of a GGUF file."""

    def __init__(self, model: LlamaModel) -> None:
        self._model, self._functions = model, model.library.functions
        self.path = model.path

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens around it."""
        return [self._ids(text) for text in texts]

    def name(self, token: int) -> str | None:
        """The text of a token; None if there is no token of this id."""
        if not 0 <= token < len(self):
            return None
        text: bytes = self._functions.llama_vocab_get_text(self._model.vocabulary, token)
        return text.decode("utf-8", "replace")

    def __len__(self) -> int:
        """The number of tokens."""
        return self._model.tokens

    def known(self, text: str) -> int | None:
        """The id of a text that is one token; None for all other texts."""
        ids = self._ids(text)
        return ids[0] if len(ids) == 1 else None

    def _ids(self, text: str) -> list[int]:
        encoded = text.encode()
        room = len(encoded) + 8  # no token is shorter than a byte
        ids = (ctypes.c_int32 * room)()
        # The last arguments: no BOS, and special tokens in the text are tokens, as in other tokenizers.
        count = self._functions.llama_tokenize(self._model.vocabulary, encoded, len(encoded), ids, room, False, True)
        if count < 0:
            raise MachineError(f"{self.path}: llama.cpp does not tokenize {text[:60]!r}; convert the model again")
        return ids[:count]


def _check_specials(file: GgufFile, layout: TokenLayout) -> None:
    """Refuse a vocabulary in which an id of the layout is an ordinary text, or no token at all.

    Without a token for each byte, llama.cpp would drop texts silently.
    """
    tokens, types = file.metadata.get("tokenizer.ggml.tokens"), file.metadata.get("tokenizer.ggml.token_type")
    if not isinstance(types, np.ndarray) or not isinstance(tokens, tuple):
        raise MachineError(f"{file.path}: it has no vocabulary; put the model's tokenizer.json next to it")
    lacking = [
        f"{name} ({getattr(layout, name)})"
        for name in _SPECIALS
        if getattr(layout, name) >= len(types) or types[getattr(layout, name)] not in _SPECIAL_TYPES
    ]
    if len(set(_BYTES) & set(tokens)) < len(_BYTES):
        raise MachineError(f"{file.path}: its vocabulary lacks bytes; put the model's tokenizer.json next to it")
    if lacking:
        raise MachineError(
            f"{file.path}: its vocabulary lacks special tokens of Maya1: {', '.join(lacking)}; use the file of a Maya1 "
            "model, or put its tokenizer.json next to it"
        )
