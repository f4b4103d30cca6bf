"""Loads the tokenizer of a checkpoint, which is a folder or a GGUF file, without its weights."""

from pathlib import Path

from maya_batch.checkpoint.locate import is_gguf
from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.engine.prompts import TextTokenizer


def load_tokenizer(path: Path) -> TextTokenizer:
    """Load the tokenizer of a checkpoint.

    Raises:
        MachineError: it has none, or it does not load.
    """
    if is_gguf(path):
        from maya_batch.checkpoint.gguf_file import read_gguf
        from maya_batch.engine.gguf_tokenizer import load_gguf_tokenizer

        return load_gguf_tokenizer(read_gguf(path), read_layout(path))
    from maya_batch.engine.hf_tokenizer import load_hf_tokenizer

    return load_hf_tokenizer(path)


def known_tags(path: Path) -> tuple[list[str], list[str]]:
    """The emotion tags of a checkpoint: those that are one token for its tokenizer, and the others."""
    tokenizer, tags = load_tokenizer(path), read_layout(path).tags
    known = [tag for tag in tags if tokenizer.known(f"<{tag}>") is not None]
    return known, [tag for tag in tags if tag not in known]
