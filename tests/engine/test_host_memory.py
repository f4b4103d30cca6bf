"""What a machine, or the container that the process is in, has left."""

from pathlib import Path

import pytest

from maya_batch.engine import host_memory
from maya_batch.engine.host_memory import RESERVED_SHARE, usable_memory

MIB = 2**20


@pytest.mark.parametrize(
    ("most", "held", "dropped", "usable"),
    [("64", 16, 0, 48), ("64", 60, 56, 60), ("64", 64, 0, 0), ("max", 64, 0, None)],
    ids=["a limit", "pages of files can be dropped", "full", "no limit"],
)
def test_a_limit_counts_without_the_pages_that_the_kernel_can_drop(
    most: str, held: int, dropped: int, usable: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = usable_memory()
    (tmp_path / "memory.max").write_text(f"{int(most) * MIB}\n" if most != "max" else "max\n")
    (tmp_path / "memory.current").write_text(f"{held * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\nfile 2\ninactive_file {dropped * MIB}\n")
    monkeypatch.setattr(host_memory, "_CGROUP", tmp_path)
    if usable is None:
        assert usable_memory() == pytest.approx(whole, rel=0.2)
    else:
        assert usable_memory() == int(usable * MIB * (1 - RESERVED_SHARE))


def test_a_machine_without_cgroups_has_what_is_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "_CGROUP", tmp_path / "none")
    assert usable_memory() > 64 * MIB
