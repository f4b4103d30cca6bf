"""What llama.cpp would abort on, refuse or misread in a GGUF file is refused before llama.cpp sees it."""

from pathlib import Path
from typing import Any

import pytest

from maya_batch.checkpoint.gguf_config import GgufConfig, read_gguf_config
from maya_batch.checkpoint.gguf_file import read_gguf
from maya_batch.checkpoint.gguf_types import MATRICES
from maya_batch.checkpoint.hf_config import CONTEXT, positions_of
from maya_batch.checkpoint.token_layout import LAYOUT_KEY, TokenLayout, read_layout
from maya_batch.errors import MachineError
from tests.support.demo import CHECKPOINT
from tests.support.gguf_files import TENSORS, Gguf, Tensor, Value, random_llama, tokens

LLAMA = random_llama(layers=2, width=16, heads=4, kv_heads=2, inner=32, count=300)
NUMBERS = (
    "llama.context_length",
    "llama.embedding_length",
    "llama.block_count",
    "llama.feed_forward_length",
    "llama.attention.head_count",
)
OPTIONAL_NUMBERS = (
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.rope.dimension_count",
    "llama.rope.scaling.original_context_length",
)


def config_of(folder: Path, file: Gguf) -> GgufConfig:
    return read_gguf_config(read_gguf(file.write(folder / "x.gguf")))


def refused(folder: Path, file: Gguf, mend: str = "fetch or convert it again") -> str:
    path = folder / "x.gguf"
    with pytest.raises(MachineError) as raised:
        config_of(folder, file)
    (line,) = raised.value.lines()
    start = f"{path}: not a GGUF file that this program can use ("
    assert line.startswith(start)
    assert line.endswith(f"); {mend}")
    said = line.removeprefix(start).removesuffix(f"); {mend}")
    assert said.isprintable()
    assert len(said) < 250
    return said


def with_key(key: str, kind: str, value: Any) -> Gguf:
    return LLAMA.changed({key: (kind, value)})


def without(*keys: str) -> Gguf:
    return LLAMA.changed(dict.fromkeys(keys))


# --- what is taken -----------------------------------------------------------------------------------------------


def test_a_small_llama(tmp_path: Path) -> None:
    config = config_of(tmp_path, LLAMA)
    weights = sum(tensor.size() for tensor in LLAMA.tensors.values())
    assert config == GgufConfig(16, 2, 4, 2, 4, 32, 300, 512, "f16", weights)


def test_what_a_file_may_lack(tmp_path: Path) -> None:
    keys = (*OPTIONAL_NUMBERS[1:], "llama.vocab_size", "llama.rope.freq_base", "general.file_type", "general.type")
    file = without(*keys).changed(tensors={"rope_freqs.weight": None})
    config = config_of(tmp_path, file)
    assert (config.head_dim, config.kv_heads, config.vocabulary, config.file_type) == (4, 2, 300, "mixed")


def test_without_the_number_of_key_heads_it_is_that_of_the_heads(tmp_path: Path) -> None:
    file = random_llama(layers=1, width=16, heads=4, kv_heads=4, inner=32, count=300)
    assert config_of(tmp_path, file.changed({"llama.attention.head_count_kv": None})).kv_heads == 4


def test_a_head_of_its_own_size(tmp_path: Path) -> None:
    sizes = dict.fromkeys(("llama.attention.key_length", "llama.attention.value_length"), ("u32", 6))
    changed: dict[str, Tensor | None] = {"rope_freqs.weight": Tensor((3,))}
    for layer in range(2):
        for name, shape in (("q", (16, 24)), ("k", (16, 12)), ("v", (16, 12)), ("output", (24, 16))):
            changed[f"blk.{layer}.attn_{name}.weight"] = Tensor(shape)
    assert (
        config_of(tmp_path, LLAMA.changed({**sizes, "llama.rope.dimension_count": ("u32", 6)}, changed)).head_dim == 6
    )


def test_a_head_that_does_not_share_the_embedding(tmp_path: Path) -> None:
    assert config_of(tmp_path, LLAMA.changed(tensors={"output.weight": Tensor((16, 300))})).vocabulary == 300


def test_a_tokenizer_json_replaces_the_vocabulary(tmp_path: Path) -> None:
    keys = [key for key in LLAMA.metadata if key.startswith("tokenizer.")]
    bare = without(*keys).changed({"tokenizer.ggml.model": ("str", "none")})
    assert refused(tmp_path, bare) == "it has no vocabulary"
    json = bare.changed({"tokenizer.huggingface.json": ("str", "{}")})
    assert config_of(tmp_path, json).vocabulary == 300
    assert refused(tmp_path, json.changed({"llama.vocab_size": None})) == "it lacks llama.vocab_size"
    zero = json.changed({"llama.vocab_size": ("u32", 0)})
    assert refused(tmp_path, zero) == "it has 0 tokens; it must have 1 to 4,194,304"


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "f32"), (1, "f16"), (7, "q8_0"), (15, "q4_k_m"), (17, "q5_k_m"), (18, "q6_k"), (32, "bf16"), (99, "mixed")],
)
def test_the_type_of_a_file(number: int, name: str, tmp_path: Path) -> None:
    assert config_of(tmp_path, with_key("general.file_type", "u32", number)).file_type == name


# --- another kind of file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"general.type": ("str", "adapter")}, "it is a LoRA adapter"),
        ({"adapter.type": ("str", "lora")}, "it is a LoRA adapter"),
        ({"general.type": ("str", "mmproj")}, "it is the projector of a multimodal model"),
        ({"general.architecture": ("str", "clip")}, "it is the projector of a multimodal model"),
        ({"general.type": ("str", "imatrix\x1b")}, r"general.type is 'imatrix\x1b'"),
        ({"general.architecture": ("str", "qwen2")}, "general.architecture is 'qwen2', but Maya1 is a llama"),
        ({"general.architecture": ("str", "llama\0")}, r"general.architecture is 'llama\x00', but Maya1 is a llama"),
        ({"general.architecture": None}, "general.architecture is nothing, but Maya1 is a llama"),
    ],
)
def test_another_kind_of_file(changes: dict[str, Value | None], told: str, tmp_path: Path) -> None:
    assert refused(tmp_path, LLAMA.changed(changes), "use the GGUF file of a Maya1 model") == told


def test_a_part_of_a_split_model_says_how_to_merge_it(tmp_path: Path) -> None:
    mend = "merge them with `llama-gguf-split --merge FIRST-PART OUTPUT`"
    part = with_key("split.count", "u16", 3).changed({"split.no": ("u16", 1)}, {"output_norm.weight": None})
    assert refused(tmp_path, part, mend) == "it is one of 3 parts"
    assert config_of(tmp_path, with_key("split.count", "u16", 1)).layers == 2
    assert refused(tmp_path, with_key("split.count", "u32", 3)) == "split.count is of the type u32; it must be u16"


# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", NUMBERS)
def test_a_missing_number(key: str, tmp_path: Path) -> None:
    assert refused(tmp_path, without(key)) == f"it lacks {key}"


@pytest.mark.parametrize("key", [*NUMBERS, *OPTIONAL_NUMBERS])
@pytest.mark.parametrize("value", [0, 2**28, 2**32 - 1])
def test_a_number_that_no_llama_has(key: str, value: int, tmp_path: Path) -> None:
    assert f"{key} is {value}; it must be a whole number from 1 to " in refused(tmp_path, with_key(key, "u32", value))


@pytest.mark.parametrize("key", [*NUMBERS, *OPTIONAL_NUMBERS, "llama.vocab_size", "general.file_type"])
@pytest.mark.parametrize(("kind", "value"), [("i32", 4), ("u64", 4), ("f32", 4.0), ("str", "4"), ("[u32]", [4, 4])])
def test_a_number_of_another_type(key: str, kind: str, value: Any, tmp_path: Path) -> None:
    assert refused(tmp_path, with_key(key, kind, value)) == f"{key} is of the type {kind}; it must be u32"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"llama.block_count": ("u32", 513)}, "llama.block_count is 513; it must be a whole number from 1 to 512"),
        ({"llama.attention.head_count": ("u32", 3)}, "embedding_length (16) must be a multiple of head_count (3)"),
        ({"llama.attention.head_count_kv": ("u32", 3)}, "that a multiple of head_count_kv (3)"),
        ({"llama.attention.key_length": ("u32", 3)}, "the size of a head is 3; it must be even"),
        ({"llama.attention.value_length": ("u32", 6)}, "llama.attention.value_length is 6; it must be the size of a h"),
        ({"llama.attention.key_length": ("u32", 6)}, "llama.attention.value_length is 4; it must be the size of a hea"),
        ({"llama.rope.dimension_count": ("u32", 2)}, "llama.rope.dimension_count is 2; it must be the size of a head"),
        ({"llama.vocab_size": ("u32", 299)}, "llama.vocab_size is 299, but it has 300 tokens"),
        ({"llama.expert_count": ("u32", 8)}, "llama.expert_count is 8, but Maya1 has none"),
        ({"llama.expert_used_count": ("[u32]", [0, 0])}, "llama.expert_used_count is of the type [u32]"),
        ({"llama.nextn_predict_layers": ("u32", 1)}, "llama.nextn_predict_layers is 1, but Maya1 has none"),
        ({"llama.pooling_type": ("u32", 2)}, "llama.pooling_type is 2, but Maya1 has none"),
        ({"llama.embedding_length_out": ("u32", 16)}, "it has llama.embedding_length_out, but Maya1 has none"),
        ({"llama.classifier.output_labels": ("[str]", ["a"])}, "it has llama.classifier.output_labels, but Maya1 h"),
        ({"llama.attention.causal": ("bool", False)}, "llama.attention.causal is False, but Maya1's attention is ca"),
        ({"llama.attention.causal": ("u8", 0)}, "llama.attention.causal is of the type u8; it must be bool"),
        ({"llama.attention.layer_norm_rms_epsilon": None}, "layer_norm_rms_epsilon is nothing; it must be a number"),
        ({"llama.attention.layer_norm_rms_epsilon": ("f32", float("nan"))}, "layer_norm_rms_epsilon is nan"),
        ({"llama.attention.layer_norm_rms_epsilon": ("f32", -1e-5)}, "; it must be a number from 0 to 1"),
        ({"llama.attention.layer_norm_rms_epsilon": ("f64", 1e-5)}, "layer_norm_rms_epsilon is of the type f64; it "),
        ({"llama.rope.freq_base": ("f32", 0.0)}, "llama.rope.freq_base is 0.0; it must be a number greater than 0"),
        ({"llama.rope.freq_base": ("f32", float("inf"))}, "llama.rope.freq_base is inf"),
        ({"llama.rope.freq_base": ("u32", 10000)}, "llama.rope.freq_base is of the type u32; it must be f32"),
        ({"llama.rope.scaling.factor": ("f32", -2.0)}, "llama.rope.scaling.factor is -2.0"),
        ({"llama.rope.scaling.type": ("str", "llama3\n")}, r"rope.scaling.type is 'llama3\n'; it must be one of none"),
        ({"llama.rope.scaling.type": ("str", "longrope")}, "llama.rope.scaling.type is 'longrope'"),
        ({"llama.rope.scaling.finetuned": ("u32", 1)}, "llama.rope.scaling.finetuned is of the type u32"),
    ],
)
def test_a_value_that_maya1_cannot_have(changes: dict[str, Value | None], told: str, tmp_path: Path) -> None:
    assert told in refused(tmp_path, LLAMA.changed(changes))


# --- tensors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in LLAMA.tensors if name != "rope_freqs.weight"])
def test_a_missing_tensor(name: str, tmp_path: Path) -> None:
    file = LLAMA.changed(tensors={name: None})
    assert refused(tmp_path, file) == f"it lacks 1 tensor of the model, for example {name}"


def test_a_file_without_weights(tmp_path: Path) -> None:
    file = LLAMA.changed(tensors=dict.fromkeys(LLAMA.tensors))
    assert refused(tmp_path, file) == "it lacks 20 tensors of the model, for example blk.0.attn_k.weight"


@pytest.mark.parametrize("name", ["blk.2.attn_q.weight", "blk.0.attn_q.bias", "blk.0.ffn_gate_inp.weight", "v.patch"])
def test_a_tensor_that_maya1_has_not(name: str, tmp_path: Path) -> None:
    file = LLAMA.changed(tensors={name: Tensor((16,))})
    assert refused(tmp_path, file) == f"it has the tensor '{name}', which Maya1 has not"


@pytest.mark.parametrize("name", LLAMA.tensors)
def test_a_tensor_of_another_shape(name: str, tmp_path: Path) -> None:
    shape = LLAMA.tensors[name].shape
    other = (*shape[:-1], shape[-1] + 1)
    said = refused(tmp_path, LLAMA.changed(tensors={name: Tensor(other)}))
    assert said == f"the shape of {name} is {other}, but {shape} by its numbers"


@pytest.mark.parametrize("name", ["output_norm.weight", "blk.1.ffn_norm.weight", "rope_freqs.weight"])
@pytest.mark.parametrize("kind", ["F16", "BF16", "F64"])
def test_a_norm_is_in_float32(name: str, kind: str, tmp_path: Path) -> None:
    file = LLAMA.changed(tensors={name: Tensor(LLAMA.tensors[name].shape, kind)})
    assert refused(tmp_path, file) == f"{name} has the type {kind}; it must be F32"


@pytest.mark.parametrize("kind", sorted(TENSORS))
def test_the_types_of_a_matrix(kind: str, tmp_path: Path) -> None:
    file = random_llama(layers=1, width=256, heads=4, kv_heads=2, inner=256, count=300, type=kind)
    if kind in MATRICES:
        assert config_of(tmp_path, file).hidden == 256
    else:
        said = refused(tmp_path, file)
        assert said == f"token_embd.weight has the type {kind}, which a Maya1 file cannot have"


# --- the vocabulary ----------------------------------------------------------------------------------------------

IDS = ("bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "fim_pre", "fim_sep", "prefix")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("model", None, "tokenizer.ggml.model is nothing, but Maya1's is gpt2"),
        ("model", ("str", "llama"), "tokenizer.ggml.model is 'llama', but Maya1's is gpt2"),
        ("model", ("u32", 1), "tokenizer.ggml.model is of the type u32; it must be str"),
        ("pre", None, "tokenizer.ggml.pre is nothing; Maya1's is llama-bpe"),
        ("pre", ("str", "qwen2"), "tokenizer.ggml.pre is 'qwen2'; Maya1's is llama-bpe"),
        ("tokens", None, "it lacks tokenizer.ggml.tokens"),
        ("tokens", ("str", "a"), "tokenizer.ggml.tokens is of the type str; it must be [str]"),
        ("tokens", ("[i32]", [1] * 300), "tokenizer.ggml.tokens is of the type [i32]; it must be [str]"),
        ("tokens", ("[str]", tokens(299)), "tokenizer.ggml.token_type has 300 values for 299 tokens"),
        ("tokens", ("[str]", [*tokens(299), "the"]), "the token 'the' is there twice"),
        ("tokens", ("[str]", [*tokens(299), ""]), "the token 299 is empty or has a NUL"),
        ("tokens", ("[str]", [*tokens(299), "the\0x"]), "the token 299 is empty or has a NUL"),
        ("token_type", None, "it lacks tokenizer.ggml.token_type"),
        ("token_type", ("[u32]", [1] * 300), "tokenizer.ggml.token_type is of the type [u32]; it must be [i32]"),
        ("token_type", ("[i32]", [1] * 299), "tokenizer.ggml.token_type has 299 values for 300 tokens"),
        ("token_type", ("[i32]", [1] * 299 + [6]), "tokenizer.ggml.token_type has a value outside 1 to 5"),
        ("token_type", ("[i32]", [1] * 299 + [0]), "tokenizer.ggml.token_type has a value outside 1 to 5"),
        ("scores", ("[f32]", [0.0] * 301), "tokenizer.ggml.scores has 301 values for 300 tokens"),
        ("scores", ("[f64]", [0.0] * 300), "tokenizer.ggml.scores is of the type [f64]; it must be [f32] or [i32]"),
        ("merges", None, "it lacks tokenizer.ggml.merges"),
        ("merges", ("str", "a b"), "tokenizer.ggml.merges is of the type str; it must be [str]"),
        ("merges", ("[str]", ["t h", "the"]), "the merge 1 is 'the'; it must be two texts with a space between them"),
        ("merges", ("[str]", ["t h e"]), "the merge 0 is 't h e'"),
        ("merges", ("[str]", [" h"]), "the merge 0 is ' h'"),
        ("merges", ("[str]", ["t "]), "the merge 0 is 't '"),
        ("merges", ("[str]", [""]), "the merge 0 is ''"),
        ("merges", ("[str]", ["t\0 h"]), r"the merge 0 is 't\x00 h'"),
        ("add_bos_token", ("u8", 1), "tokenizer.ggml.add_bos_token is of the type u8; it must be bool"),
        ("suppress_tokens", ("[u32]", [1]), "tokenizer.ggml.suppress_tokens is of the type [u32]; it must be [i32]"),
        ("token_type_count", ("str", "2"), "tokenizer.ggml.token_type_count is of the type str; it must be u32"),
        *((f"{name}_token_id", ("u32", 300), f"{name}_token_id is 300, but there are 300 tokens") for name in IDS),
        *((f"{name}_token_id", ("i32", 3), f"{name}_token_id is of the type i32; it must be u32") for name in IDS),
    ],
)
def test_a_vocabulary_that_llama_cpp_does_not_take(name: str, value: Value | None, told: str, tmp_path: Path) -> None:
    assert told in refused(tmp_path, LLAMA.changed({f"tokenizer.ggml.{name}": value}))


def test_as_many_tokens_as_rows(tmp_path: Path) -> None:
    fewer = random_llama(layers=2, width=16, heads=4, kv_heads=2, inner=32, count=299)
    said = refused(tmp_path, LLAMA.changed(fewer.metadata))
    assert said == "the shape of token_embd.weight is (16, 300), but (16, 299) by its numbers"


def test_a_name_for_which_llama_cpp_changes_tokens(tmp_path: Path) -> None:
    said = refused(tmp_path, with_key("general.name", "str", "A Phi-3"))
    assert said == "general.name is 'A Phi-3', but Maya1 is not a Phi-3"


# --- the context and the token layout ----------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "positions"), [(512, 512), (CONTEXT, CONTEXT), (131072, CONTEXT), (0, CONTEXT)])
def test_the_positions_of_a_file(length: int, positions: int, tmp_path: Path) -> None:
    assert positions_of(with_key("llama.context_length", "u32", length).write(tmp_path / "x.gguf")) == positions


def test_a_file_that_is_invalid_counts_as_the_published_context(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    assert positions_of(path) == CONTEXT
    path.write_bytes(b"GGUF")
    assert positions_of(path) == CONTEXT
    assert positions_of(with_key("llama.context_length", "str", "many").write(path)) == CONTEXT


def test_the_layout_in_a_file_is_that_of_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    assert read_layout(LLAMA.write(path)) == TokenLayout()
    json = (CHECKPOINT / "maya_tokens.json").read_text(encoding="utf-8")
    assert read_layout(with_key(LAYOUT_KEY, "str", json).write(path)) == read_layout(CHECKPOINT)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (("str", "{"), "Expecting property name"),
        (("str", "[]"), "it is not a mapping"),
        (("str", "{}"), "'bos'"),
        (("str", "[" * 100_000), "nested too deep"),
        (("str", " " * 1_000_001), "more than 1,000,000 bytes"),
        (("u32", 1), "it is not a text"),
    ],
)
def test_a_layout_that_is_none(value: Value, told: str, tmp_path: Path) -> None:
    path = LLAMA.changed({LAYOUT_KEY: value}).write(tmp_path / "x.gguf")
    with pytest.raises(MachineError) as raised:
        read_layout(path)
    (line,) = raised.value.lines()
    assert line.startswith(f"{path}: maya_batch.token_layout is not a token layout (")
    assert told in line
    assert line.endswith("; convert the model again")


def test_the_layout_of_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(MachineError, match="it is too short for a header"):
        read_layout(tmp_path / "x.gguf")
