"""The three places that a GGUF file's tokenizer can come from give the same ids."""

import json
import logging
from pathlib import Path

import pytest

from maya_batch.checkpoint.gguf_convert import convert
from maya_batch.checkpoint.gguf_file import GgufFile, read_gguf
from maya_batch.checkpoint.gguf_tokens import HF_JSON
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import TokenLayout, read_layout
from maya_batch.engine.gguf_tokenizer import JsonTokenizer, VocabularyTokenizer, load_gguf_tokenizer
from maya_batch.engine.hf_tokenizer import load_hf_tokenizer
from maya_batch.engine.prompts import Prompts
from maya_batch.engine.tokenizers import known_tags
from maya_batch.errors import MachineError
from tests.support.gguf_files import Gguf, Tensor, Value
from tests.support.llama_checkpoint import LlamaCheckpoint, require_llama_cpp

TEXTS = ["the other thing", "Well, <sigh> there it is.", "<laugh> the", "Café, “naïve”…", "a\tb  c", "<custom_tok"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint with random weights."""
    checkpoint = LlamaCheckpoint(tmp_path_factory.mktemp("checkpoint") / "lm")
    assert checkpoint.tokenizer is not None
    checkpoint.tokenizer["model"]["merges"] = ["t h", "th e"]
    return checkpoint.write().folder


@pytest.fixture(scope="module")
def converted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as a GGUF file, with its tokenizer.json inside."""
    require_llama_cpp()
    path = tmp_path_factory.mktemp("converted") / "x.gguf"
    convert(find_checkpoint(str(folder), "model"), path, "f16", lambda *done: None)
    return path


def rewritten(source: Path, target: Path, **changed: Value | None) -> GgufFile:
    """The file without the tokenizer.json inside, and with other values of `tokenizer.ggml` keys."""
    file, data = read_gguf(source), source.read_bytes()
    metadata: dict[str, Value] = {key: (file.types[key], value) for key, value in file.metadata.items()}
    tensors = {
        tensor.name: Tensor(tensor.shape, tensor.type, data[tensor.offset : tensor.offset + tensor.size])
        for tensor in file.tensors
    }
    other = {f"tokenizer.ggml.{name}": value for name, value in changed.items()}
    return read_gguf(Gguf(metadata, tensors).changed({HF_JSON: None, **other}).write(target))


@pytest.mark.parametrize("place", ["inside", "next to it", "vocabulary"])
def test_all_places_give_the_ids_of_transformers(
    place: str, folder: Path, converted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = read_gguf(converted) if place == "inside" else rewritten(converted, tmp_path / "x.gguf")
    if place == "next to it":
        (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    layout = read_layout(file.path)
    tokenizer, wanted = load_gguf_tokenizer(file, layout), load_hf_tokenizer(folder)
    assert isinstance(tokenizer, VocabularyTokenizer if place == "vocabulary" else JsonTokenizer)
    assert tokenizer.encode(TEXTS) == wanted.encode(TEXTS)
    assert [tokenizer.name(id_) for id_ in (0, 260, layout.eos)] == [wanted.name(id_) for id_ in (0, 260, layout.eos)]
    for tag in layout.tags:
        assert tokenizer.known(f"<{tag}>") == wanted.known(f"<{tag}>") is not None
    assert tokenizer.known("<nothing>") is None
    assert known_tags(file.path) == (list(layout.tags), [])
    prompts = [Prompts(one, layout, 4096, 400).encode("A voice", "Well, <sigh> no.") for one in (tokenizer, wanted)]
    assert prompts[0] == prompts[1]
    said = {"inside": "", "next to it": "tokenizer.json", "vocabulary": "llama.cpp's, with the vocabulary in the file"}
    assert said[place] in (caplog.messages or [""])[0]


def test_a_vocabulary_without_mayas_special_tokens_is_refused_with_what_it_lacks(
    converted: Path, tmp_path: Path
) -> None:
    layout, types = read_layout(converted), list(read_gguf(converted).metadata["tokenizer.ggml.token_type"])  # type: ignore[call-overload]
    types[layout.soh] = types[layout.eos] = 1
    file = rewritten(converted, tmp_path / "x.gguf", token_type=("[i32]", types))
    with pytest.raises(
        MachineError, match=rf"lacks special tokens of Maya1: soh \({layout.soh}\), eos \({layout.eos}\)"
    ):
        load_gguf_tokenizer(file, layout)
    with pytest.raises(MachineError, match=r"soh \(128259\), bos \(128000\), eot"):
        load_gguf_tokenizer(file, TokenLayout())


def test_a_vocabulary_without_a_byte_is_refused(converted: Path, tmp_path: Path) -> None:
    """llama.cpp would leave out the letters that it has no token for, and say nothing."""
    names = list(read_gguf(converted).metadata["tokenizer.ggml.tokens"])  # type: ignore[call-overload]
    names[names.index("Ġ")] = "something else"
    file = rewritten(converted, tmp_path / "x.gguf", tokens=("[str]", names), merges=("[str]", ["t h"]))
    with pytest.raises(MachineError, match=r"its vocabulary lacks bytes; put the model's tokenizer\.json next to it"):
        load_gguf_tokenizer(file, read_layout(converted))


@pytest.mark.parametrize("content", ["", "{}", "[]", json.dumps({"model": {"type": "BPE", "vocab": 1}}), "\udcff"])
def test_a_tokenizer_that_does_not_load_is_one_line(content: str, converted: Path, tmp_path: Path) -> None:
    file = rewritten(converted, tmp_path / "x.gguf")
    (tmp_path / "tokenizer.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        MachineError, match=r"tokenizer\.json: the tokenizer does not load \(.*\); fetch it again"
    ) as raised:
        load_gguf_tokenizer(file, read_layout(converted))
    assert "\n" not in str(raised.value)
