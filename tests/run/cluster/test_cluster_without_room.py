"""Clusters on which no worker can be started."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from maya_batch.book.settings import Machine
from maya_batch.errors import MachineError
from maya_batch.run.render import render_book
from tests.support.fakes import Events, FakeCodec, TinyBook


@pytest.mark.parametrize("nodes", [[], [{"Alive": True, "Resources": {"GPU": 1.0}}], [{"Alive": False}]])
def test_one_that_offers_no_cpu_is_told(
    nodes: list[dict[str, Any]], tiny: TinyBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def opened(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(cluster_resources=dict, nodes=lambda: nodes)

    monkeypatch.setattr("maya_batch.run.cluster.workers.opened_ray", opened)
    tiny.loaders.codec = lambda *_: FakeCodec()
    tiny.write({"One": ["Come in."]})
    with pytest.raises(MachineError, match="no machine of the cluster offers a CPU"):
        render_book(tiny.plan(), Machine(device="cpu", ray_address="10.0.0.1:6379"), Events(), loaders=tiny.loaders)
