"""config.json of a model is anybody's: what no Llama has is refused before anything is built from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from maya_batch.checkpoint.hf_config import positions_of, read_hf_config
from maya_batch.errors import MachineError
from maya_batch.files.builtin_files import builtin

DEMO = builtin("assets", "demo-voice", "lm")
NUMBERS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)
NESTED = "[" * 5000 + "]" * 5000


def written(folder: Path, **changes: Any) -> Path:
    """The demo voice's configuration with other values; those that are text stand there as they are."""
    data = json.loads((DEMO / "config.json").read_text(encoding="utf-8"))
    lines = [f"{json.dumps(name)}: {changes.get(name, json.dumps(data.get(name)))}" for name in {**data, **changes}]
    (folder / "config.json").write_text(f"{{{', '.join(lines)}}}", encoding="utf-8")
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(MachineError) as raised:
        read_hf_config(folder)
    said = str(raised.value)
    assert said.startswith(f"{folder / 'config.json'}: ")
    assert "\n" not in said
    assert len(said) < len(str(folder)) + 250
    return said


def test_the_demo_voice_is_a_llama() -> None:
    config = read_hf_config(DEMO)
    assert (config.hidden, config.layers, config.heads, config.kv_heads, config.head_dim) == (384, 7, 6, 2, 64)
    assert (config.intermediate, config.vocabulary, config.saved) == (768, 7464, None)
    assert "architectures" not in config.arguments
    assert config.arguments["tie_word_embeddings"] is True


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["-8", "0", "1e999", "NaN", "9" * 30, '"many"', "[3]", "{}", "true", "64.0"])
def test_a_number_that_no_llama_has(name: str, value: str, tmp_path: Path) -> None:
    assert f"{name} is " in refused(written(tmp_path, **{name: value}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_attention_heads": "7"}, "must be a multiple of"),
        ({"num_key_value_heads": "4"}, "must be a multiple of"),
        ({"head_dim": "63"}, "must be even"),
        ({"rms_norm_eps": "NaN"}, "rms_norm_eps is nan"),
        ({"hidden_act": '"gelu"'}, "hidden_act is 'gelu'"),
        ({"model_type": '"bert"'}, "model_type is 'bert', but Maya1 is a llama"),
        ({"model_type": "[]"}, "model_type is a list"),
        ({"rope_theta": "-1"}, "rope_theta is -1"),
        ({"rope_parameters": '"x"'}, "must be a mapping"),
        ({"rope_parameters": '{"rope_theta": 0}'}, "rope_theta is 0"),
        ({"rope_parameters": '{"rope_type": ["x"]}'}, "rope_type is a list"),
        ({"rope_scaling": '{"rope_type": "linear", "factor": 1e999}'}, "factor is inf"),
        ({"rope_scaling": '{"rope_type": "longrope", "short_factor": [1, "x"]}'}, "short_factor is a list"),
        ({"quantization_config": '["nf4"]'}, "not a mapping"),
        ({"quantization_config": '{"quant_method": "gptq", "load_in_4bit": true}'}, "quantized by gptq, not bits"),
        ({"quantization_config": '{"quant_method": {}}'}, "quantized by a mapping"),
        ({"anything": NESTED}, "nested too deep"),
        ({"hidden_size": "9" * 5000}, "no model configuration"),
        ({"anything": '"' + "x" * 2_000_000 + '"'}, "more than 1,000,000 bytes"),
    ],
)
def test_a_configuration_that_is_none_of_maya1s(changes: dict[str, str], told: str, tmp_path: Path) -> None:
    assert told in refused(written(tmp_path, **changes))


@pytest.mark.parametrize("content", ["", "[]", "null", "NaN", "{", NESTED, "\x00\x01"])
def test_a_file_that_is_no_configuration(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert "no model configuration" in refused(tmp_path)
    assert positions_of(tmp_path) == 8192


@pytest.mark.parametrize(
    ("value", "positions"), [("4096", 4096), ("131072", 8192), ("1e999", 8192), ("-1", 8192), ("true", 8192)]
)
def test_positions_are_those_of_maya1_where_a_file_has_none(value: str, positions: int, tmp_path: Path) -> None:
    assert positions_of(written(tmp_path, max_position_embeddings=value)) == positions
