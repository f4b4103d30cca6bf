import json
import logging
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maya_batch.checkpoint.gguf_config import read_gguf_config
from maya_batch.checkpoint.gguf_file import GgufFile, read_gguf
from maya_batch.checkpoint.gguf_weights import Stored
from maya_batch.checkpoint.gguf_writer import write_gguf
from maya_batch.checkpoint.hf_config import positions_of
from maya_batch.checkpoint.locate import Checkpoint, find_checkpoint
from maya_batch.checkpoint.token_layout import TokenLayout, read_layout
from maya_batch.errors import MachineError, MayaBatchError, UsageError
from tests.support.llama_checkpoint import (
    HEAD,
    LAYOUT,
    ROWS,
    USED,
    WIDTH,
    Array,
    LlamaCheckpoint,
    letters,
    random_weights,
    require_gguf,
)

require_gguf()


@pytest.fixture
def llama(tmp_path: Path) -> LlamaCheckpoint:
    return LlamaCheckpoint(tmp_path / "voice")


def converted(llama: LlamaCheckpoint, kind: Stored | None = "F32") -> GgufFile:
    """The checkpoint, written and converted."""
    llama.write()
    path = llama.folder.parent / "x.gguf"
    write_gguf(find_checkpoint(str(llama.folder), "model"), path, kind, lambda done, total: None)
    file = read_gguf(path)
    read_gguf_config(file)
    return file


def refused(llama: LlamaCheckpoint, kind: type[MayaBatchError], stored: Stored = "F32") -> str:
    """Why the checkpoint is not converted, in one line; nothing is left."""
    with pytest.raises(kind) as error:
        converted(llama, stored)
    assert [path.name for path in llama.folder.parent.iterdir()] == [llama.folder.name]
    (line,) = error.value.lines()
    return line


def values(file: GgufFile) -> dict[str, Array]:
    """The tensors of a file, as float32, in numpy's order."""
    data = file.path.read_bytes()
    found = {}
    for tensor in file.tensors:
        raw = data[tensor.offset : tensor.offset + tensor.size]
        if tensor.type == "BF16":
            numbers = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[tensor.type]).astype("<f4")
        found[tensor.name] = numbers.reshape(tensor.shape[::-1])
    return found


def original(name: str, tensors: dict[str, Array]) -> Array:
    """The tensor of the checkpoint with this name, from those of a GGUF file."""
    outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    name = name.removesuffix(".weight")
    if name in outer:
        return tensors[f"{outer[name]}.weight"]
    _, _, layer, part = name.split(".", 3)
    inner = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    } | {f"self_attn.{letter}_proj": f"attn_{letter}" for letter in "qkv"}
    tensor = tensors[f"blk.{layer}.{inner[part]}.weight"]
    if part not in ("self_attn.q_proj", "self_attn.k_proj"):
        return tensor
    back = np.empty_like(tensor)
    for row in range(len(tensor)):
        # llama.cpp rotates rows 2i and 2i + 1 of a head together, transformers i and i + d / 2.
        head, place = divmod(row, HEAD)
        back[head * HEAD + (place % 2) * HEAD // 2 + place // 2] = tensor[row]
    return back


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("dtype", "shards"), [("BF16", 1), ("BF16", 2), ("F16", 2), ("F32", 1), ("F64", 1)])
def test_in_f32_each_tensor_is_that_of_the_checkpoint(
    llama: LlamaCheckpoint, dtype: str, shards: int, tied: bool
) -> None:
    llama.dtype, llama.shards, llama.tied = dtype, shards, tied
    file = converted(llama)
    tensors = values(file)
    assert len(tensors) == len(llama.weights)
    for name, weight in llama.weights.items():
        stored = weight.astype("<f2").astype("<f4") if dtype == "F16" else weight
        np.testing.assert_array_equal(original(name, tensors), stored, err_msg=name)
    assert {tensor.type for tensor in file.tensors} == {"F32"}


def test_in_f16_matrices_are_rounded_and_norms_are_not(llama: LlamaCheckpoint) -> None:
    file = converted(llama, "F16")
    tensors = values(file)
    for name, weight in llama.weights.items():
        rounded = weight if weight.ndim == 1 else weight.astype("<f2").astype("<f4")
        np.testing.assert_array_equal(original(name, tensors), rounded, err_msg=name)
    assert {(len(tensor.shape), tensor.type) for tensor in file.tensors} == {(1, "F32"), (2, "F16")}


@pytest.mark.parametrize(("dtype", "stored"), [("BF16", "BF16"), ("F16", "F16"), ("F32", "F32"), ("F64", "F32")])
def test_without_loss_matrices_keep_their_format(llama: LlamaCheckpoint, dtype: str, stored: str) -> None:
    llama.dtype = dtype
    file = converted(llama, None)
    assert {tensor.type for tensor in file.tensors if len(tensor.shape) == 2} == {stored}
    weight = llama.weights["model.layers.1.self_attn.q_proj.weight"]
    expected = weight.astype("<f2").astype("<f4") if dtype == "F16" else weight
    np.testing.assert_array_equal(original("model.layers.1.self_attn.q_proj.weight", values(file)), expected)


def test_tensors_of_several_blocks_are_whole(llama: LlamaCheckpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = converted(llama).path.read_bytes()
    monkeypatch.setattr("maya_batch.checkpoint.gguf_weights._BLOCK", 1000)
    assert converted(llama).path.read_bytes() == at_once


def test_progress_counts_all_bytes(llama: LlamaCheckpoint, tmp_path: Path) -> None:
    llama.write()
    seen: list[tuple[int, int]] = []
    write_gguf(Checkpoint("voice", "model", llama.folder), tmp_path / "x.gguf", "F16", lambda *done: seen.append(done))
    total = sum(weight.size * (4 if weight.ndim == 1 else 2) for weight in llama.weights.values())
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
    assert len({whole for _, whole in seen}) == 1


def test_a_head_that_is_the_embedding_is_left_out(llama: LlamaCheckpoint) -> None:
    llama.weights = random_weights(llama.config)
    llama.weights["lm_head.weight"] = llama.weights["model.embed_tokens.weight"]
    assert "output.weight" not in values(converted(llama))


def test_a_head_that_differs_is_written_though_config_says_that_it_is_tied(llama: LlamaCheckpoint) -> None:
    llama.weights = random_weights(llama.config, tied=False)
    np.testing.assert_array_equal(values(converted(llama))["output.weight"], llama.weights["lm_head.weight"])


def test_unused_tensors_are_told(llama: LlamaCheckpoint, caplog: pytest.LogCaptureFixture) -> None:
    llama.weights = random_weights(llama.config) | {"model.rotary_emb.inv_freq": np.ones(8, "<f4")}
    with caplog.at_level(logging.WARNING, "maya_batch"):
        assert len(converted(llama).tensors) == len(llama.weights) - 1
    assert "does not use 1 tensor of the files, for example rotary_emb.inv_freq" in caplog.text


# --- metadata ----------------------------------------------------------------------------------------------------


def test_the_shape_of_the_model_is_in_the_metadata(llama: LlamaCheckpoint) -> None:
    llama.config |= {"rope_theta": 5e5}
    file = converted(llama, "F16")
    config = read_gguf_config(file)
    assert (config.hidden, config.layers, config.heads, config.kv_heads) == (WIDTH, 2, 4, 2)
    assert (config.head_dim, config.intermediate, config.vocabulary, config.context) == (HEAD, 96, ROWS, 512)
    assert config.file_type == "f16"
    assert file.metadata["general.name"] == "voice"
    assert file.metadata["llama.rope.freq_base"] == 5e5
    assert file.metadata["llama.rope.dimension_count"] == HEAD
    assert file.metadata["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    assert positions_of(file.path) == 512


@pytest.mark.parametrize("gone", ["max_position_embeddings", "rms_norm_eps", "rope_theta"])
def test_numbers_that_config_lacks_are_those_of_transformers(llama: LlamaCheckpoint, gone: str) -> None:
    from transformers import LlamaConfig

    llama.config.pop(gone, None)
    metadata = converted(llama).metadata
    config = LlamaConfig(**{name: number for name, number in llama.config.items() if name != "model_type"})
    assert metadata["llama.context_length"] == config.max_position_embeddings
    assert metadata["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(config.rms_norm_eps)
    assert metadata["llama.rope.freq_base"] == config.rope_parameters["rope_theta"]


def test_the_layout_travels_with_the_file(llama: LlamaCheckpoint) -> None:
    file = converted(llama)
    assert json.loads(str(file.metadata["maya_batch.token_layout"])) == LAYOUT
    assert read_layout(file.path) == read_layout(llama.folder)
    ids = {name: file.metadata[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "padding")}
    assert ids == {"bos": 260, "eos": 266, "padding": 267}
    assert file.metadata["tokenizer.ggml.add_bos_token"] is False


def test_a_checkpoint_without_a_layout_gets_maya1s_written_out(llama: LlamaCheckpoint) -> None:
    llama.layout = None
    llama.config |= {"vocab_size": TokenLayout().vocabulary, "hidden_size": 8, "intermediate_size": 8, "head_dim": 2}
    file = converted(llama)
    written = json.loads(str(file.metadata["maya_batch.token_layout"]))
    assert (written["code_offset"], written["clip_start_samples"], written["tokens_per_frame"]) == (128266, 2048, 7)
    assert read_layout(file.path) == TokenLayout()


def test_the_tokenizer_travels_with_the_file(llama: LlamaCheckpoint) -> None:
    file = converted(llama)
    assert file.metadata["tokenizer.huggingface.json"] == (llama.folder / "tokenizer.json").read_text()
    tokens, types = file.metadata["tokenizer.ggml.tokens"], file.metadata["tokenizer.ggml.token_type"]
    assert isinstance(tokens, tuple)
    assert isinstance(types, np.ndarray)
    assert tokens[:258] == (*letters(), "th", "the")
    assert tokens[258:261] == ("<laugh>", "<sigh>", "<|special_0|>")
    assert tokens[USED:] == tuple(f"[UNUSED{id_}]" for id_ in range(USED, ROWS))
    # 1 normal, 3 control, 4 user-defined, 5 unused; <sigh> is special in the tokenizer, but a tag.
    assert types.tolist() == [1] * 258 + [4, 4] + [3] * (USED - 260) + [5] * (ROWS - USED)
    assert file.metadata["tokenizer.ggml.merges"] == ("t h", "th e")


def test_a_tokenizer_is_found_where_maya1s_repository_has_it(llama: LlamaCheckpoint) -> None:
    llama.write()
    (llama.folder / "tokenizer").mkdir()
    (llama.folder / "tokenizer.json").rename(llama.folder / "tokenizer" / "tokenizer.json")
    llama.tokenizer = None
    tokens = converted(llama).metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, tuple)
    assert tokens[257] == "the"


def test_placeholders_differ_from_all_tokens(llama: LlamaCheckpoint) -> None:
    assert llama.tokenizer is not None
    llama.tokenizer["added_tokens"][-1]["content"] = f"[UNUSED{USED}]"
    tokens = converted(llama).metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, tuple)
    assert len(set(tokens)) == ROWS


def test_a_vocabulary_without_merges_gets_one_that_never_applies(llama: LlamaCheckpoint) -> None:
    assert llama.tokenizer is not None
    llama.tokenizer["model"]["merges"] = []
    assert converted(llama).metadata["tokenizer.ggml.merges"] == ("ĠĠ ĠĠ",)


LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_the_angles_of_llama3_are_those_of_transformers(llama: LlamaCheckpoint, key: str) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    llama.config |= {"rope_theta": 5e5, key: LLAMA3}
    factors = values(converted(llama, "F16"))["rope_freqs.weight"]
    config = LlamaConfig(**{name: number for name, number in llama.config.items() if name != "model_type"})
    angles, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 5e5 ** -(np.arange(0, HEAD, 2) / HEAD)
    assert factors.shape == (HEAD // 2,)
    assert len(set(factors.tolist())) > 2  # some are stretched, some are not, and some lie between
    np.testing.assert_allclose(plain / factors, angles.numpy(), rtol=1e-5)


def test_plain_angles_need_no_tensor(llama: LlamaCheckpoint) -> None:
    llama.config |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1234.0}}
    file = converted(llama)
    assert "rope_freqs.weight" not in values(file)
    assert file.metadata["llama.rope.freq_base"] == 1234.0


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"attention_bias": True}, "attention_bias is set"),
        ({"mlp_bias": True}, "mlp_bias is set"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
            r"\(RoPE\) are yarn; convert takes default and",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, r"\(RoPE\) are linear"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, r"\(RoPE\) are partial"),
        ({"quantization_config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}, "already quantized as nf4"),
        ({"quantization_config": {"load_in_8bit": True}}, "already quantized as int8"),
    ],
)
def test_what_is_of_another_form_is_refused(llama: LlamaCheckpoint, change: dict[str, Any], why: str) -> None:
    llama.config |= change
    line = refused(llama, UsageError)
    assert str(llama.folder) in line
    assert re.search(why, line), line


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model_type": "qwen2"}, "model_type is 'qwen2'"),
        ({"vocab_size": 300}, "too few for speech codes"),
        ({"num_hidden_layers": 3}, "lack 9 tensors"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "lacks factor, low_freq_factor"),
        ({"tie_word_embeddings": False}, "lack lm_head.weight"),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_config_is_refused(
    llama: LlamaCheckpoint, change: dict[str, Any], why: str
) -> None:
    llama.weights = random_weights(llama.config)
    llama.config |= change
    assert why in refused(llama, MachineError)


def edit_vocabulary(change: Callable[[dict[str, Any]], object]) -> Callable[[LlamaCheckpoint], None]:
    def edit(llama: LlamaCheckpoint) -> None:
        assert llama.tokenizer is not None
        change(llama.tokenizer)

    return edit


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "id out of range": (lambda data: data["model"]["vocab"].update(odd=ROWS), f"the id of 'odd' is {ROWS}"),
    "id no number": (lambda data: data["model"]["vocab"].update(odd="5"), "the id of 'odd' is '5'"),
    "two of one text": (lambda data: data["added_tokens"][3].update(content="the"), "are both 'the'"),
    "empty": (lambda data: data["model"]["vocab"].update({"": USED}), "is empty or has a NUL"),
    "lone surrogate": (lambda data: data["model"]["vocab"].update({"\ud800": USED}), "surrogates not allowed"),
    "two for one id": (lambda data: data["model"]["vocab"].update(odd=300), "the id 300 is both 'odd' and"),
    "no pair": (lambda data: data["model"]["merges"].append("alone"), "the merge 'alone' is not a pair"),
    "space in a pair": (lambda data: data["model"]["merges"].append(["a b", "c"]), "has a space"),
    "no vocabulary": (lambda data: data["model"].pop("vocab"), "vocab"),
    "no list": (lambda data: data.update(added_tokens=5), "does not load"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_tokenizer_is_refused(llama: LlamaCheckpoint, name: str) -> None:
    change, why = BROKEN[name]
    edit_vocabulary(change)(llama)
    line = refused(llama, MachineError)
    assert why in line
    assert str(llama.folder / "tokenizer.json") in line


def test_a_tokenizer_of_another_kind_is_refused(llama: LlamaCheckpoint) -> None:
    edit_vocabulary(lambda data: data["model"].update(type="Unigram"))(llama)
    assert "not a byte-level BPE tokenizer" in refused(llama, UsageError)


def test_a_checkpoint_without_a_tokenizer_is_refused(llama: LlamaCheckpoint) -> None:
    llama.tokenizer = None
    assert "no tokenizer.json here or in tokenizer/" in refused(llama, MachineError)


def test_a_number_that_f16_cannot_hold_is_refused(llama: LlamaCheckpoint) -> None:
    llama.weights = random_weights(llama.config)
    llama.weights["model.layers.1.mlp.up_proj.weight"][3, 5] = -70000
    assert "blk.1.ffn_up.weight has a value of " in (line := refused(llama, UsageError, "F16"))
    assert line.endswith("too large for f16; use --type f32")
    assert values(converted(llama))["blk.1.ffn_up.weight"][3, 5] < -69000


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("stored", ["F32", "F16", None])
def test_values_that_are_not_numbers_are_refused(llama: LlamaCheckpoint, bad: float, stored: Stored) -> None:
    llama.weights = random_weights(llama.config)
    llama.weights["model.norm.weight"][3] = bad
    assert "output_norm.weight has values that are not numbers" in refused(llama, MachineError, stored)


@pytest.mark.parametrize("missing", [1, 40000])
def test_a_file_that_ends_too_early_is_refused(llama: LlamaCheckpoint, tmp_path: Path, missing: int) -> None:
    llama.write()
    shard = llama.folder / "model.safetensors"
    os.truncate(shard, shard.stat().st_size - missing)
    with pytest.raises(MachineError, match=r"model\.safetensors: the file is too short"):
        write_gguf(Checkpoint("voice", "model", llama.folder), tmp_path / "x.gguf", "F32", lambda done, total: None)
    assert not (tmp_path / "x.gguf").exists()


@pytest.mark.parametrize("offsets", [[0, 10], [-4, 4], ["0", "1"], None, [0, 1, 2]])
def test_a_header_that_misplaces_a_tensor_is_refused(llama: LlamaCheckpoint, tmp_path: Path, offsets: object) -> None:
    llama.write()
    shard = llama.folder / "model.safetensors"
    data = shard.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["model.norm.weight"]["data_offsets"] = offsets
    raw = json.dumps(header).encode()
    shard.write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + size :])
    with pytest.raises(MachineError, match=r"the header misplaces output_norm\.weight"):
        write_gguf(Checkpoint("voice", "model", llama.folder), tmp_path / "x.gguf", "F32", lambda done, total: None)


def test_a_link_in_the_place_of_the_file_is_not_followed(llama: LlamaCheckpoint, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / "x.gguf").symlink_to(tmp_path / "other")
    converted(llama)
    assert (tmp_path / "other").read_bytes() == b"mine"
    assert not (tmp_path / "x.gguf").is_symlink()
