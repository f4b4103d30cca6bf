import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from maya_batch.checkpoint.token_layout import read_layout
from tests.conftest import Said
from tests.support.llama_checkpoint import LlamaCheckpoint, require_gguf

require_gguf()

Cli = Callable[..., Said]


@pytest.fixture
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LlamaCheckpoint:
    """A checkpoint in the working directory."""
    monkeypatch.chdir(tmp_path)
    return LlamaCheckpoint(tmp_path / "voice").write()


def test_a_folder_becomes_a_file_of_f16_by_default(voice: LlamaCheckpoint, cli: Cli, tmp_path: Path) -> None:
    said = cli("convert", "voice", "-o", "x.gguf")
    assert (said.code, said.err) == (0, "")
    first, *table = said.out.splitlines()
    assert re.fullmatch(r"x\.gguf  f16, 0\.\d MiB", first)
    assert "  attn_q.weight: 2 x F16" in table
    assert "  output_norm.weight: 1 x F32" in table
    assert len(table) == 11
    assert read_layout(tmp_path / "x.gguf") == read_layout(voice.folder)


def test_the_type_is_chosen_by_a_flag(voice: LlamaCheckpoint, cli: Cli) -> None:
    assert "  attn_q.weight: 2 x F32\n" in cli("convert", voice.folder, "-o", "x.gguf", "--type", "f32").out


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["voice", "-o", "x.bin"], 2, "x.bin: the name of a GGUF file ends in .gguf"),
        (["voice", "-o", "there.gguf"], 2, "there.gguf already exists; delete it, or choose another name"),
        (["voice", "-o", "no/x.gguf"], 2, "no: no such folder"),
        (["there.gguf", "-o", "x.gguf"], 2, "there.gguf is a GGUF file already"),
        (["other", "-o", "x.gguf"], 2, "model other: no such folder, and not a hub id"),
        (["org/voice", "-o", "x.gguf"], 5, "maya-batch fetch org/voice"),
    ],
)
def test_what_cannot_be_converted_is_one_line(
    voice: LlamaCheckpoint, hub: Path, cli: Cli, arguments: list[str], code: int, why: str, tmp_path: Path
) -> None:
    (tmp_path / "there.gguf").write_bytes(b"mine")
    said = cli("convert", *arguments)
    assert (said.code, said.out) == (code, "")
    assert why in said.err
    assert said.err.count("\n") == 1
    assert (tmp_path / "there.gguf").read_bytes() == b"mine"


def test_a_type_that_is_none_lists_the_types(voice: LlamaCheckpoint, cli: Cli) -> None:
    said = cli("convert", "voice", "-o", "x.gguf", "--type", "q3_k_m")
    assert said.code == 2
    assert "q4_k_m" in said.err


def test_f16_needs_neither_torch_nor_llama_cpp(voice: LlamaCheckpoint) -> None:
    script = (
        "import sys\n"
        "sys.modules.update(torch=None, transformers=None, llama_cpp=None)\n"
        "sys.argv = ['maya-batch', 'convert', 'voice', '-o', 'x.gguf']\n"
        "from maya_batch.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("x.gguf").is_file()
