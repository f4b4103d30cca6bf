"""A codec's files are anybody's: what no SNAC has is refused before anything is built from it."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maya_batch.audio.codec_checkpoint import read_codec_config, read_codec_weights
from maya_batch.errors import MachineError
from maya_batch.files.builtin_files import builtin

DEMO = builtin("assets", "demo-voice", "codec")
Weights = dict[Any, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "codec"))


def configured(folder: Path, **changes: str) -> None:
    data = json.loads((DEMO / "config.json").read_text(encoding="utf-8"))
    lines = [f"{json.dumps(name)}: {changes.get(name, json.dumps(data.get(name)))}" for name in {**data, **changes}]
    (folder / "config.json").write_text(f"{{{', '.join(lines)}}}", encoding="utf-8")


def refused(folder: Path) -> str:
    with pytest.raises(MachineError) as raised:
        read_codec_weights(folder, read_codec_config(folder))
    said = str(raised.value)
    assert said.startswith(str(folder))
    assert said.endswith("; fetch it again")
    assert "\n" not in said
    return said


def test_the_demo_voices_codec_is_a_snac() -> None:
    config = read_codec_config(DEMO)
    weights = read_codec_weights(DEMO, config)
    count = sum(tensor.numel() for tensor in weights.values())
    assert 0.95 * count < config.least_numbers() < count
    assert config.frame_samples == 2048


@pytest.mark.parametrize("name", ["encoder_rates", "decoder_rates", "vq_strides"])
@pytest.mark.parametrize("value", ["[]", "null", "5", '"x"', "[0, 1]", "[-8, 8]", '["8"]', "[true]", f"{[2] * 40}"])
def test_rates_that_no_snac_has(name: str, value: str, folder: Path) -> None:
    configured(folder, **{name: value})
    assert f"{name} must be 1 to 8 whole numbers" in refused(folder)


@pytest.mark.parametrize("name", ["encoder_dim", "decoder_dim", "codebook_size", "codebook_dim", "sampling_rate"])
@pytest.mark.parametrize("value", ["-1", "0", "10000000", '"x"', "null", "NaN", "1e999", "true", "320.0"])
def test_a_number_that_no_snac_has(name: str, value: str, folder: Path) -> None:
    configured(folder, **{name: value})
    assert f"{name} is " in refused(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"surprise": "1"}, "SNAC has no setting 'surprise'"),
        ({"noise": '"x"'}, "must be true or false"),
        ({"decoder_dim": "8"}, "too small to halve 4 times"),
        ({"decoder_rates": "[8, 8, 8, 8]"}, "different products"),
        ({"decoder_dim": "16000"}, "6,200,407 bytes do not fit "),
        ({"depthwise": "false"}, "6,200,407 bytes do not fit "),
        ({"noise": "[" * 5000 + "]" * 5000}, "nested too deep"),
    ],
)
def test_a_configuration_that_is_none_of_snacs(changes: dict[str, str], told: str, folder: Path) -> None:
    configured(folder, **changes)
    assert told in refused(folder)


WEIGHTS: dict[str, tuple[Callable[[Weights], Any], str]] = {
    "numbers for names": (lambda given: dict(enumerate(given.values())), "not plain tensors with names"),
    "words for tensors": (lambda given: {**given, "more": "x"}, "not plain tensors with names"),
    "no mapping": (lambda given: list(given.values()), "not plain tensors with names"),
    "whole numbers": (lambda given: {name: t.to(torch.int64) for name, t in given.items()}, "not plain tensors"),
    "sparse": (lambda given: {name: t.to_sparse() for name, t in given.items()}, "not plain tensors with names"),
    "NaN": (lambda given: {name: t * torch.nan for name, t in given.items()}, "are not finite numbers"),
    "one that is infinite": (
        lambda given: {**given, "quantizer.quantizers.0.codebook.weight": torch.full((1024, 8), -torch.inf)},
        "are not finite numbers",
    ),
    "a number that is repeated": (
        lambda given: {**given, "more": torch.zeros(1).expand(2**40)},
        "are more numbers than are in the file",
    ),
    "one tensor under many names": (
        lambda given: {**given, **dict.fromkeys(map(str, range(100_000)), max(given.values(), key=torch.numel))},
        "are more numbers than are in the file",
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_are_none(case: str, folder: Path) -> None:
    change, told = WEIGHTS[case]
    path = folder / "pytorch_model.bin"
    torch.save(change(torch.load(path)), path)
    assert told in refused(folder)


def test_weights_that_are_packed_to_fill_the_memory(folder: Path) -> None:
    path = folder / "pytorch_model.bin"
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("archive/data/more", bytes(20_000_000))
    assert "it is compressed" in refused(folder)
