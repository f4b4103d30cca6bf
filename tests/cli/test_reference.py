from pathlib import Path
from typing import Any

import pytest
import typer

from maya_batch.book.settings import config_names
from maya_batch.cli import app
from maya_batch.cli.reference import reference

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
README = Path(__file__).parents[2] / "maya_batch" / "cli" / "README.md"


def test_the_reference_is_what_the_code_generates() -> None:
    update = "python -m maya_batch.cli.reference > maya_batch/cli/README.md"
    assert README.read_text(encoding="utf-8") == reference(), f"run `{update}`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_of_a_command_is_in_the_reference_with_its_help(name: str) -> None:
    part = reference().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    for parameter in COMMANDS[name].params:
        assert parameter.help in part
        if parameter.param_type_name == "option":
            assert all(f"`{flag}`" in part for flag in parameter.opts)


def test_choices_bounds_and_defaults_are_shown() -> None:
    lines = reference().splitlines()
    assert any("| `none`, `nf4`, `int8`, `fp8` |" in line for line in lines)
    assert any(line.startswith("| `--gpu-memory` | number |") and line.endswith(" At least 1. |") for line in lines)
    assert any(line.startswith("| `--seeds` | integer |") and line.endswith(" Default: `5`. |") for line in lines)
    assert any(line.startswith("| `--forget` | text |") and "several times" in line for line in lines)
    assert "`maya-batch fetch [OPTIONS] [NAMES...]`" in lines


def test_the_help_names_every_configuration() -> None:
    row = next(line for line in reference().splitlines() if line.startswith("| `--config` "))
    assert all(name in row for name in config_names())
