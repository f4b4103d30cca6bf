"""Loads the tokenizer of a checkpoint's folder with transformers."""

from collections.abc import Sequence
from pathlib import Path

import transformers
from transformers import AutoTokenizer, LlamaConfig, PreTrainedTokenizerBase

from maya_batch.errors import MachineError
from maya_batch.torch_errors import translated_load_errors

#: The most bytes of a tokenizer's file (17 MB with Llama's vocabulary), and of other small files next to it.
_MAX_VOCABULARY_BYTES, _MAX_OTHER_BYTES = 64_000_000, 16_000_000


class HfTokenizer:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.path = Path(tokenizer.name_or_path)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens around it."""
        ids: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False).input_ids
        return ids

    def name(self, token: int) -> str | None:
        """The text of a token; None if there is no token of this id."""
        name: str | None = self.tokenizer.convert_ids_to_tokens([token])[0]
        return name

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.tokenizer)

    def known(self, text: str) -> int | None:
        """The id of a text that is one token, other than the token for unknown text; None for all other texts."""
        ids = self.encode([text])[0]
        return ids[0] if len(ids) == 1 and ids[0] != self.tokenizer.unk_token_id else None


def load_hf_tokenizer(folder: Path) -> HfTokenizer:
    """Load the tokenizer from the checkpoint's root, else from `tokenizer/`, where Maya1's repository has it.

    Raises:
        MachineError: there is none, or it does not load.
    """
    transformers.utils.logging.set_verbosity_error()
    for path in (folder, folder / "tokenizer"):
        if (path / "tokenizer.json").is_file() or (path / "tokenizer_config.json").is_file():
            _check_sizes(path)
            with translated_load_errors(path, "the tokenizer"):
                # Without `config`, transformers reads a config.json there and builds all that it names.
                known = {"config": LlamaConfig()} if (path / "config.json").is_file() else {}
                tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False, **known)
                tokenizer(["Yes."], add_special_tokens=False)  # some fail only at the first use
                return HfTokenizer(tokenizer)
    raise MachineError(f"{folder}: no tokenizer here or in tokenizer/; fetch the model again")


def _check_sizes(folder: Path) -> None:
    """Refuse files next to a tokenizer that would fill memory when transformers reads them."""
    for path in folder.glob("*"):
        if path.suffix in (".json", ".jinja", ".txt", ".model"):
            most = _MAX_VOCABULARY_BYTES if path.stem.startswith(("tokenizer", "vocab", "merges")) else _MAX_OTHER_BYTES
            if path.is_file() and path.stat().st_size > most:
                raise MachineError(f"{path}: larger than {most:,} bytes; fetch the model again")
