"""Runs on a Ray cluster of three nodes on this machine, with an engine that is nothing but a generator of numbers."""

import json
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.checkpoint.token_layout import Codes
from maya_batch.engine.api import Request
from maya_batch.errors import MachineError
from maya_batch.manifest import Render
from maya_batch.run.cluster.patience import Patience
from maya_batch.run.cluster.received_waveforms import ReceivedWaveforms
from maya_batch.run.render import render_book
from maya_batch.run.result import RunResult
from tests.support import faulty_worker
from tests.support.demo import Rendered, write_book
from tests.support.fakes import Events, FakeCodec, FakeEngine, TinyBook, WholeCodec
from tests.support.shelves import Shelf

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[cluster]'")
pytestmark = pytest.mark.slow

CHUNKS = 36
NODES = 3


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Three nodes with a CPU share each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    for _ in range(NODES - 1):
        cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


#: Of a few seconds altogether.
SHORT = ["Yes.", "Go on.", "Stop.", "Come in.", "Who?", "Look up.", "Not now.", "He ran.", "Why?", "Oh!"]

NODE: dict[str, Any] = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}


@pytest.fixture
def book(tiny: TinyBook) -> TinyBook:
    """A book whose takes come from workers that may fail."""
    tiny.loaders.engine = faulty_worker.load
    tiny.loaders.codec = lambda *_: FakeCodec()
    tiny.loaders.patience = Patience(frame=8.0, room=60.0)  # other tests use the cores, too
    write(tiny)
    return tiny


def write(book: TinyBook, **odd: str) -> None:
    """The book's text; `odd` are chunks by number with a leading underscore."""
    texts = [odd.get(f"_{number}", f"Come in, number {number}.") for number in range(CHUNKS)]
    book.write({"One": texts[: CHUNKS // 2], "Two": texts[CHUNKS // 2 :]})


def fault(book: TinyBook, kind: str | None = None, times: int = 1, seconds: float = 0.1) -> None:
    (book.folder / "lm" / "faults.json").write_text(json.dumps({"kind": kind, "times": times, "seconds": seconds}))


def render(book: TinyBook, nodes: Any, workers: int = NODES, events: Events | None = None) -> RunResult:
    machine = Machine(device="cpu", workers=workers, ray_address=nodes.address)
    return render_book(book.plan(), machine, events or Events(), loaders=book.loaders)


def report(book: TinyBook) -> dict[str, Any]:
    return dict(json.loads((book.output / "report.json").read_text()))


def assert_whole(book: TinyBook) -> None:
    """Each chunk has one take, the one that a run without workers makes, and both chapters are written."""
    state = book_state(book.plan(), Machine())
    alone = FakeEngine(state.plan.layout)
    for chunk in state.plan.chunks():
        [take] = state.takes(chunk)
        assert take.examined
        asked = Request(take.key, chunk.description, chunk.text, take.seed, chunk.max_frames, chunk.expected_frames)
        [[wanted]] = alone.generate([asked], state.plan.sound.sampling, "framed")
        assert np.array_equal(np.asarray(take.codes), wanted.codes)
    assert all(map(state.current, state.plan.chapters))


def test_all_workers_generate_and_the_report_names_them(book: TinyBook, nodes: Any) -> None:
    fault(book, seconds=0.2)
    result = render(book, nodes)
    assert result.exit_code == 0
    assert_whole(book)
    workers = report(book)["workers"]
    assert len(workers) == NODES
    assert sum(workers.values()) == CHUNKS
    assert result.engine == "hf float32 none"
    # With all takes stored, no engine is loaded.
    assert render(book, nodes).chunks == 0


def test_retries_are_generated_by_workers(book: TinyBook, nodes: Any) -> None:
    write(book, _3="Clumsy it was.", _20="Broken for ever.")
    result = render(book, nodes, workers=2)
    assert result.exit_code == 3
    state = book_state(book.plan(), Machine())
    attempts = {chunk.text: state.attempts(chunk) for chunk in state.plan.chunks()}
    assert attempts["Broken for ever."] == 3
    assert 2 <= attempts["Clumsy it was."] <= 3  # another worker knows nothing of the first time
    assert Counter(attempts.values())[1] == CHUNKS - 2


@pytest.mark.parametrize("kind", ["die", "hang", "raise", "codes"])
def test_a_worker_that_fails_costs_no_take(
    kind: str, book: TinyBook, nodes: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    fault(book, kind)
    assert render(book, nodes).exit_code == 0
    assert_whole(book)
    said = [message for message in caplog.messages if message.startswith("worker ")]
    assert len(said) == 1
    assert WHY[kind] in said[0]
    assert said[0].endswith("wait for another worker; a new one is started")
    assert capfd.readouterr() == ("", "")  # of Ray


WHY = {
    "die": "its process or its machine is gone",
    "hang": "it hangs: no frame in 8 s",
    "raise": "the model or the codec failed (mat1 and mat2 shapes cannot be multiplied)",
    "codes": "code 64 is outside a codebook of 64",
}


def test_a_chunk_that_kills_workers_is_set_aside(book: TinyBook, nodes: Any, caplog: pytest.LogCaptureFixture) -> None:
    write(book, _7="Deadly is this one.")
    fault(book, "poison")
    result = render(book, nodes)
    assert result.exit_code == 3
    [(chunk, problem), (_, silent)] = result.problems
    assert (chunk.text, problem.kind, silent.kind) == ("Deadly is this one.", "broken", "silent")
    assert problem.detail.endswith("2 workers or more were lost while they generated it")
    assert sum("is left out" in message for message in caplog.messages) == 2
    assert report(book)["problems_by_kind"] == {"broken": 1, "silent": 1}
    assert all(map(book_state(book.plan(), Machine()).current, book.plan().chapters))


def test_without_workers_the_run_ends_and_keeps_its_takes(book: TinyBook, nodes: Any) -> None:
    fault(book, "die", times=99)
    book.loaders.patience = Patience(replacements=-NODES)
    events = Events()
    with pytest.raises(MachineError, match=r"no worker is left; the last one was lost: .*gone"):
        render(book, nodes, events=events)
    fault(book)
    stored = len(list(book.output.rglob("*.npz")))
    assert render(book, nodes).chunks == CHUNKS - stored
    assert_whole(book)


def test_a_worker_with_another_checkpoint_is_refused(
    book: TinyBook, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "identity", lambda self: "sha256:" + "0" * 64)  # what the driver has
    with pytest.raises(MachineError, match=r"its checkpoint is sha256:.*, not sha256:"):
        render(book, nodes, workers=1)
    assert not list(book.output.rglob("*.npz"))


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Workers decode on CPUs, too; of each clip that the driver needs, whether it came from a worker."""
    asked, pop = list[bool](), ReceivedWaveforms.pop

    def noted(self: ReceivedWaveforms, seed: int, codes: Codes) -> NDArray[np.float32] | None:
        found = pop(self, seed, codes)
        asked.append(found is not None)
        return found

    monkeypatch.setattr(ReceivedWaveforms, "pop", noted)
    monkeypatch.setattr("maya_batch.run.cluster.workers.workers_decode", lambda device: device == "cpu")
    return asked


def test_the_demo_voice_says_the_same_with_workers_that_decode_too(
    nodes: Any, tmp_path: Path, received: list[bool]
) -> None:
    book = write_book(tmp_path / "book.yaml", [SHORT * 2] * 3, formats=["wav", "mp3"], render={"attempts": 1})
    outputs = tmp_path / "alone", tmp_path / "workers"
    machines = Machine(device="cpu"), Machine(device="cpu", batch_size=8, workers=3, ray_address=nodes.address)
    for machine, output in zip(machines, outputs, strict=True):
        plan = make_plan(book, Render(), output=output)
        assert sum(1 for _ in plan.chunks()) == 60
        assert render_book(plan, machine, Events(), output).exit_code in (0, 3)
    alone, workers = (Rendered(book, output, "") for output in outputs)
    assert len(json.loads((workers.folder / "report.json").read_text())["workers"]) == NODES
    for (chunk, take), (_, other) in zip(alone.takes(), workers.takes(), strict=True):
        assert take.key == other.key
        assert np.array_equal(np.asarray(take.codes), np.asarray(other.codes)), chunk.ref
    assert len(alone.files()) == 6
    assert digests(alone) == digests(workers)
    assert received == [True] * 60


def test_several_books_share_their_workers(
    book: TinyBook, nodes: Any, received: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    book.loaders.codec = lambda _, layout, __: WholeCodec(layout)
    fault(book, seconds=0.2)  # the first book ends while others are rendered
    shelf = Shelf(book)
    for name in ("ash", "birch", "cedar"):
        shelf.add(name, {"One": [f"The {name} stood here, number {n}." for n in range(10)]})
    machine = Machine(device="cpu", workers=2, ray_address=nodes.address, verify="off")
    result = shelf.run(machine=machine).run()
    assert result.exit_code == 0
    assert [message for message in caplog.messages if "is left out" in message] == []
    for path in shelf.books:
        state = shelf.state(path)
        assert all(map(state.current, state.plan.chapters))
    assert received == [True] * 30


def digests(rendered: Rendered) -> dict[str, tuple[int, str, str]]:
    """Of each file its size, and digests of its start, which has the tags, and of all of it."""
    contents = {path.name: path.read_bytes() for path in rendered.files()}
    return {
        name: (len(all_), sha256(all_[:1024]).hexdigest(), sha256(all_).hexdigest()) for name, all_ in contents.items()
    }


def test_a_machine_may_go(book: TinyBook, nodes: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The last test of this file: afterwards the cluster has a new node."""
    fault(book, seconds=1.0)

    class Unplugged(Events):
        def rendered(self, chunks: int, seconds: float) -> None:
            super().rendered(chunks, seconds)
            if len(self.named("rendered")) == 6:
                nodes.remove_node(nodes.worker_nodes.copy().pop(), allow_graceful=False)

    assert render(book, nodes, events=Unplugged()).exit_code == 0
    assert_whole(book)
    [said] = [message for message in caplog.messages if "is left out" in message]
    assert "its process or its machine is gone" in said
    workers = report(book)["workers"]
    assert sum(workers.values()) == CHUNKS
