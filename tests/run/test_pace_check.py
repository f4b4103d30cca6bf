"""A take is judged by its voice's first takes in reading order, in whatever order they come."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.book.take_store import Take
from maya_batch.checkpoint.token_layout import SLOTS, Codes, read_layout
from maya_batch.engine.api import NO_HOOKS, Decoding, Generation, Hooks, Request, Sampling
from maya_batch.quality import Problem
from maya_batch.quality.voice_pace import Limits
from maya_batch.run.generate import sequence_seed
from maya_batch.run.pace_check import VoiceCheck
from maya_batch.run.postprocess import TakeProcessor
from maya_batch.run.render import render_book
from maya_batch.run.result import RunResult
from tests.e2e.test_render_book import audio, kinds, take_files
from tests.support.fakes import (
    Events,
    FakeCodec,
    FakeEngine,
    FakeTranscriber,
    TinyBook,
    unexpected,
    write_codec,
    write_model,
)

pytestmark = pytest.mark.slow

RENDER = {"model": "./lm", "codec": "./codec"}
SYLLABLES = ("ba", "be", "bi", "bo", "bu", "da", "de", "di", "do", "du")

#: All takes by ref, the chapter files, and what is on record.
Whole = tuple[dict[str, list[Take]], dict[str, bytes], list[tuple[str, str]]]


class Reader(FakeEngine):
    """Reads at `pace` and is quiet for 0.4 s and more, but that a text with the word "Hasty" takes too little time and
    one with "Abrupt" is quiet for 0.2 s: by what is foreseen for any voice, nothing is wrong with these. "Clumsy" takes
    break. What begins with "Once" or "Twice" happens to the first takes of a chunk only, which their seeds tell.
    """

    pace = 1.0
    shuffled: random.Random | None = None
    """Settles the order in which takes come; as they were asked for, where there is none."""

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        keys = {request.key for request in requests}

        def answered() -> Sequence[Request]:
            joining = hooks.retries()
            assert {request.key for request in joining} <= keys
            return joining

        waiting = list(requests)
        while waiting := [*answered(), *waiting]:
            if self.shuffled is not None:
                self.shuffled.shuffle(waiting)
            batch, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
            yield from super().generate(batch, sampling, decoding, Hooks(hooks.tick))

    def _speak(self, request: Request) -> Generation:
        rng = np.random.default_rng(request.seed)
        bad = {"Once": 1, "Twice": 2}.get(request.text.split()[0], 9)
        good = request.seed not in [sequence_seed(request.key, attempt) for attempt in range(1, bad + 1)]
        hasty = "always hasty" in request.text or ("asty" in request.text and not good)
        ratio = self.pace * (0.6 if hasty else rng.uniform(0.97, 1.03))
        codes = rng.integers(1, self.layout.codebook_size, (round(request.likely_frames * ratio), SLOTS))
        codes[0, 0] = 20 if "brupt" in request.text and not good else rng.integers(40, 60)
        if "lumsy" in request.text and not good:
            return Generation(request.key, codes[:3].astype(np.uint16), "broken", "frame 3, slot 2")
        return Generation(request.key, codes.astype(np.uint16), "eos")


class QuietCodec(FakeCodec):
    """A hum, and as many hundredths of a second of silence as the first code says."""

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        hum = super().decode(codes, seed)
        return np.concatenate([hum, np.zeros(240 * int(codes[0, 0]), dtype=np.float32)])


def load_reader(tiny: TinyBook) -> Reader:
    """What every model is loaded as from now on, beside a codec that goes with it."""
    engine, codec = Reader(read_layout(tiny.folder / "lm")), QuietCodec()
    tiny.loaders.engine = lambda *_, **__: engine
    tiny.loaders.codec = lambda *_: codec
    return engine


@pytest.fixture
def reader(tiny: TinyBook) -> Reader:
    return load_reader(tiny)


@pytest.fixture(params=[True, False], ids=["in_background", "inline"])
def in_background(request: pytest.FixtureRequest, tiny: TinyBook) -> bool:
    tiny.loaders.threaded = request.param
    return bool(request.param)


def sentences(first: int, last: int, **words: str) -> list[str]:
    """Paragraphs `first` to `last` of a book, some of them beginning with a word: n5="Hasty". Their numbers are in them
    as names, because figures would be written out.
    """
    names = {n: "".join(SYLLABLES[int(figure)] for figure in str(n)).title() for n in range(first, last + 1)}
    return [
        f"{words.get(f'n{n}', 'So')} an old man named {name} waited by the dark water for a long time in the cold."
        for n, name in names.items()
    ]


def book(tiny: TinyBook) -> None:
    """A voice of 34 chunks, some of which only its limits accuse, before they are settled and after; and another one,
    which has too few chunks for any.
    """
    tiny.write(
        {
            "One": sentences(1, 4, n2="Once hasty"),
            "Two": [*sentences(5, 19, n5="Once abrupt", n6="Once clumsy", n9="Hasty"), "[tom] Hasty words, said Tom."],
            "Three": sentences(20, 34, n26="Once abrupt", n30="Once hasty", n31="Hasty", n33="Once clumsy"),
        },
        render={**RENDER, "attempts": 2},
    )


def render(tiny: TinyBook, machine: Machine | None = None, progress: Events | None = None, **more: Any) -> RunResult:
    machine = machine or Machine(verify="off")
    return render_book(tiny.plan(), machine, progress or Events(), **more, loaders=tiny.loaders)


def state_of(tiny: TinyBook) -> BookState:
    return book_state(tiny.plan(), Machine())


def takes_of(tiny: TinyBook) -> dict[str, list[Take]]:
    state = state_of(tiny)
    return {chunk.ref: state.takes(chunk) for chunk in state.plan.chunks()}


def evidence(tiny: TinyBook) -> dict[str, list[Take]]:
    """All that is stored of all takes, but for how long it took to speak them; their codes as bytes."""

    def plain(take: Take) -> Take:
        return replace(take, codes=np.asarray(take.codes).tobytes())  # type: ignore[arg-type]

    return {ref: [plain(take) for take in takes] for ref, takes in takes_of(tiny).items()}


def kinds_of(takes: Sequence[Take]) -> list[list[str]]:
    return [[problem.kind for problem in take.problems] for take in takes]


def change(tiny: TinyBook, how: Callable[[Take], Take]) -> None:
    """Store all takes otherwise."""
    state = state_of(tiny)
    state.store.put([how(take) for takes in takes_of(tiny).values() for take in takes])


def unjudged(take: Take) -> Take:
    """The take as it was before its voice's limits were settled."""
    problems = tuple(problem for problem in take.problems if problem.kind not in ("short", "long", "ending"))
    return replace(take, problems=problems, judged=Limits())


def without_field(take: Path, **more: object) -> None:
    """Make of a take's file one of version 0.1."""
    with np.load(take) as arrays:
        codes, meta = arrays["codes"], json.loads(str(arrays["meta"]))
    del meta["judged"]
    np.savez(take, codes=codes, meta=np.array(json.dumps(meta | more)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What an unbroken run makes of the book."""
    tiny = TinyBook(tmp_path_factory.mktemp("whole"))
    write_model(tiny.folder / "lm")
    write_codec(tiny.folder / "codec")
    book(tiny)
    load_reader(tiny)
    problems = kinds(render(tiny))
    return evidence(tiny), audio(tiny), problems


def test_takes_are_accused_by_what_the_first_takes_of_their_voice_show(tiny: TinyBook, reader: Reader) -> None:
    book(tiny)
    assert kinds(render(tiny)) == [("2:5", "short"), ("3:12", "short")]
    made = takes_of(tiny)
    flagged = {ref: kinds_of(takes) for ref, takes in made.items() if any(take.problems for take in takes)}
    assert flagged == {
        "1:2": [["short"], []],
        "2:1": [["ending"], []],
        "2:2": [["broken"], []],
        "2:5": [["short"], ["short"]],
        "3:7": [["ending"], []],
        "3:11": [["short"], []],
        "3:12": [["short"], ["short"]],
        "3:14": [["broken"], []],
    }
    (tom,) = made["2:16"]
    (own,) = {take.judged for ref, takes in made.items() for take in takes if ref != "2:16"}
    assert tom.judged == Limits(0, 0)
    assert own is not None
    assert own.pace == pytest.approx(1, abs=0.05)
    assert own.quiet is not None
    assert 0.25 < own.quiet < 0.4


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 8))])
def test_the_same_takes_are_judged_alike_in_any_order_of_arrival(
    seed: int, in_background: bool, whole: Whole, tiny: TinyBook, reader: Reader
) -> None:
    book(tiny)
    reader.shuffled, reader.batch_size = random.Random(seed), 1 + seed % 5
    problems = kinds(render(tiny))
    assert (evidence(tiny), audio(tiny), problems) == whole


@pytest.mark.parametrize(
    "takes",
    [1, 13, 25, 37, *(pytest.param(takes, marks=pytest.mark.soak) for takes in range(1, 43, 4) if takes % 12 != 1)],
)
def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_judgements(
    takes: int, whole: Whole, tiny: TinyBook, reader: Reader
) -> None:
    book(tiny)

    def stop(done: int) -> None:
        if done == takes:
            raise KeyboardInterrupt

    reader.batch_size, reader.before_batch = 1, stop
    with pytest.raises(KeyboardInterrupt):
        render(tiny)
    reader.before_batch = lambda done: None
    problems = kinds(render(tiny))
    assert (evidence(tiny), audio(tiny), problems) == whole
    assert len(reader.texts) == sum(map(len, whole[0].values()))  # none is spoken twice


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (TakeProcessor, "_decode"),
        # Between the other two.
        pytest.param(TakeProcessor, "_settle", marks=pytest.mark.soak),
        (VoiceCheck, "catch_up"),
    ],
    ids=lambda part: str(part),
)
def test_a_run_that_is_killed_again_and_again_goes_on_to_the_same_judgements(
    owner: type,
    name: str,
    in_background: bool,
    whole: Whole,
    tiny: TinyBook,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run is killed when something is done the fifth time: so some takes are stored and not examined, some are
    examined and not judged.
    """
    book(tiny)
    real, calls = getattr(owner, name), 0

    def killed(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(owner, name, killed)
    reader.batch_size, reader.shuffled = 2, random.Random(0)
    kills = 0
    while True:
        calls = 0
        try:
            problems = kinds(render(tiny))
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills > (1 if in_background else 5)  # what goes wrong beside is told some takes later
    assert (evidence(tiny), audio(tiny), problems) == whole


def test_a_chapter_is_put_together_again_when_its_voice_is_known(
    in_background: bool, tiny: TinyBook, reader: Reader
) -> None:
    tiny.write({"One": sentences(1, 4, n2="Once hasty"), "Two": sentences(5, 24)})
    events = Events()
    seen: list[list[list[str]]] = []
    reader.before_batch = lambda done: seen.append(kinds_of(takes_of(tiny)["1:2"])) if not in_background else None
    result = render(tiny, progress=events)
    assert events.named("published").count("01-one.wav") == 2
    assert (kinds(result), result.retries) == ([], 1)
    assert (result.chunks, sum(events.named("rendered"))) == (24, 24)
    assert kinds_of(takes_of(tiny)["1:2"]) == [["short"], []]
    if not in_background:
        assert seen == [[], *[[[]]] * 4, [["short"]], [["short"], []]]  # before each batch of four
    assert state_of(tiny).current(tiny.plan().chapters[0])


def test_what_was_judged_by_wide_limits_is_judged_again_when_the_book_has_more_of_the_voice(
    tiny: TinyBook, reader: Reader
) -> None:
    tiny.write({"One": sentences(1, 5, n2="Once hasty")})
    render(tiny)
    before = audio(tiny)
    assert [take.judged for (take,) in takes_of(tiny).values()] == [Limits(0, 0)] * 5
    reader.batches.clear()
    tiny.write({"One": sentences(1, 5, n2="Once hasty"), "Two": sentences(6, 25)})
    assert kinds(render(tiny)) == []
    assert [text for text in reader.texts if "Once" in text] == sentences(2, 2, n2="Once hasty")
    assert kinds_of(takes_of(tiny)["1:2"]) == [["short"], []]
    assert all(take.judged and take.judged.pace and take.judged.quiet for take in takes_of(tiny)["1:1"])
    assert audio(tiny)["01-one.wav"] != before["01-one.wav"]


def test_a_slow_voice_is_cleared_when_it_is_known(tiny: TinyBook, reader: Reader) -> None:
    reader.pace, once = 1.6, {**RENDER, "attempts": 1}
    tiny.write({"One": sentences(1, 7)}, render=once)
    assert kinds(render(tiny)) == [(f"1:{n}", "long") for n in range(1, 8)]
    tiny.write({"One": sentences(1, 7), "Two": sentences(8, 8)}, render=once)
    assert kinds(render(tiny)) == []
    assert {len(takes) for takes in takes_of(tiny).values()} == {1}


def test_what_was_judged_by_the_voices_own_limits_stays_as_it_was_judged(tiny: TinyBook, reader: Reader) -> None:
    tiny.write({"One": sentences(1, 22)})
    render(tiny)
    before = takes_of(tiny)["1:22"]
    reader.pace = 2.0
    tiny.write({"One": [*sentences(101, 120), *sentences(1, 22)]})
    assert kinds(render(tiny)) == []
    (first, last) = (takes_of(tiny)[ref][0].judged for ref in ("1:1", "1:42"))
    assert last == before[0].judged
    assert first is not None
    assert last is not None
    assert first.pace == pytest.approx(2, abs=0.1)
    assert last.pace == pytest.approx(1, abs=0.1)


def test_takes_that_a_stopped_run_left_unjudged_are_judged_without_loading_anything(
    tiny: TinyBook, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write({"One": sentences(1, 22)})
    render(tiny)
    made, files = evidence(tiny), audio(tiny)
    change(tiny, unjudged)
    assert evidence(tiny) != made
    tiny.loaders.engine = tiny.loaders.codec = unexpected
    assert render(tiny).exit_code == 0
    assert (evidence(tiny), audio(tiny)) == (made, files)


def test_the_next_run_speaks_what_a_stopped_one_left_unjudged(tiny: TinyBook, reader: Reader) -> None:
    tiny.write({"One": sentences(1, 22, n3="Once hasty", n4="Once abrupt")})
    render(tiny)
    made, files = evidence(tiny), audio(tiny)
    state = state_of(tiny)
    for ref in ("1:3", "1:4"):
        key = takes_of(tiny)[ref][0].key
        next(path for path in state.folder.rglob("2.npz") if path.parent.name == key).unlink()
    change(tiny, unjudged)
    reader.batches.clear()
    render(tiny)
    assert sorted(reader.texts) == sorted(sentences(3, 4, n3="Once hasty", n4="Once abrupt"))
    assert (evidence(tiny), audio(tiny)) == (made, files)


def test_one_more_take_is_judged_by_what_is_known_and_no_other_one_with_it(
    in_background: bool, tiny: TinyBook, reader: Reader
) -> None:
    tiny.write({"One": sentences(1, 22, n3="Once hasty", n5="Hasty")})
    render(tiny)
    change(tiny, unjudged)
    reader.batches.clear()
    (key,) = {take.key for take in takes_of(tiny)["1:5"]}
    render(tiny, redo_seeds={key: None})
    assert reader.texts == sentences(5, 5, n5="Hasty")
    *others, new = takes_of(tiny)["1:5"]
    assert {take.judged for take in others} == {Limits()}
    assert new.judged is not None
    assert new.judged.pace == pytest.approx(1, abs=0.1)
    assert [problem.kind for problem in new.problems] == ["short"]
    assert {take.judged for take in takes_of(tiny)["1:3"]} == {Limits()}


def test_a_first_take_is_examined_though_another_one_is_in_use(tiny: TinyBook, reader: Reader) -> None:
    tiny.write({"One": sentences(1, 22)})
    render(tiny)
    (first,) = takes_of(tiny)["1:1"]
    render(tiny, redo_seeds={first.key: None})
    made = evidence(tiny)
    state_of(tiny).store.put([replace(first, examined=False, quiet=None, judged=Limits())])
    reader.batches.clear()
    render(tiny)
    assert (evidence(tiny), reader.texts) == (made, [])


def test_a_choice_does_not_hide_what_the_voice_shows_later(
    tiny: TinyBook, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write({"One": sentences(1, 3, n1="Once hasty")})
    render(tiny)
    state = state_of(tiny)
    keys = [state.key(chunk) for chunk in state.plan.chunks()]
    state.store.choose(keys[0], 1)
    state.store.choose(keys[1], 1)
    tiny.write({"One": sentences(1, 30, n1="Once hasty")})
    assert kinds(render(tiny)) == []
    assert "1:1: take 1, which you chose, has new problems (short)" in caplog.text
    state = state_of(tiny)
    assert [state.store.chosen(key) for key in keys[:2]] == [None, 1]
    assert kinds_of(takes_of(tiny)["1:1"]) == [["short"], []]


@pytest.fixture
def transcriber(tiny: TinyBook, monkeypatch: pytest.MonkeyPatch) -> FakeTranscriber:
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    return FakeTranscriber(tiny.loaders)


def test_of_suspects_those_are_listened_to_that_only_their_voice_accuses(
    in_background: bool, tiny: TinyBook, reader: Reader, transcriber: FakeTranscriber
) -> None:
    tiny.write({"One": sentences(1, 4, n2="Hasty"), "Two": sentences(5, 30, n25="Hasty")}, render={**RENDER})
    assert kinds(render(tiny, Machine(verify="suspects"))) == [("1:2", "short"), ("2:21", "short")]
    assert sorted(transcriber.listened) == sorted([*sentences(2, 2, n2="Hasty"), *sentences(25, 25, n25="Hasty")] * 3)


def test_two_takes_of_a_chunk_that_are_suspect_at_once_have_it_spoken_once_more(
    in_background: bool, tiny: TinyBook, reader: Reader, transcriber: FakeTranscriber
) -> None:
    chapter = sentences(1, 4, n2="Twice clumsy, always hasty")
    tiny.write({"One": chapter}, render={**RENDER, "attempts": 2})
    render(tiny)
    reader.batches.clear()
    tiny.write({"One": chapter, "Two": sentences(5, 30)}, render={**RENDER, "attempts": 5})
    assert kinds(render(tiny, Machine(verify="suspects"))) == [("1:2", "broken")]
    assert kinds_of(takes_of(tiny)["1:2"]) == [["broken"], ["broken"], ["short"], ["short"], ["short"]]
    assert reader.texts.count(chapter[1]) == 3
    assert transcriber.listened == [chapter[1]] * 5


def test_examined_takes_of_version_0_1_keep_their_judgement(tiny: TinyBook, reader: Reader) -> None:
    tiny.write({"One": sentences(1, 22, n3="Once hasty")}, render={**RENDER, "attempts": 2})
    render(tiny)
    files = {path: path.read_bytes() for path in tiny.output.rglob("*.npz")}
    for path in files:
        without_field(path)
    old = take_files(tiny)
    assert {take.judged for takes in takes_of(tiny).values() for take in takes} == {None}
    reader.batches.clear()
    tiny.write({"One": sentences(1, 23, n3="Once hasty", n23="Once hasty")}, render={**RENDER, "attempts": 2})
    assert kinds(render(tiny)) == []
    assert {name: content for name, content in take_files(tiny).items() if name in old} == old
    assert reader.texts == sentences(23, 23, n23="Once hasty") * 2  # by what the old takes show


def test_takes_of_version_0_1_that_were_not_examined_are_judged(tiny: TinyBook, reader: Reader) -> None:
    tiny.write({"One": sentences(1, 22, n3="Once hasty", n4="Once abrupt")})
    render(tiny)
    made = evidence(tiny)
    for path in tiny.output.rglob("1.npz"):
        without_field(path, examined=False, quiet=None, problems=[])
    render(tiny)
    assert evidence(tiny) == made


def test_a_choice_is_kept_where_only_the_figures_are_others(tiny: TinyBook, reader: Reader) -> None:
    reader.pace = 0.4  # of which, as long as it has few takes, all are short
    tiny.write({"One": sentences(1, 3)}, render={**RENDER, "attempts": 1})
    assert kinds(render(tiny)) == [(f"1:{n}", "short") for n in range(1, 4)]
    state = state_of(tiny)
    key = next(state.key(chunk) for chunk in state.plan.chunks())
    state.store.choose(key, 1)
    reader.pace = 1.0
    tiny.write({"One": [*sentences(1, 3), *sentences(4, 30)]}, render={**RENDER, "attempts": 1})
    render(tiny)
    (take,) = takes_of(tiny)["1:1"]
    assert take.judged is not None
    assert take.judged.pace == pytest.approx(1, abs=0.1)
    assert [problem.kind for problem in take.problems] == ["short"]
    assert state_of(tiny).store.chosen(key) == 1


def test_a_takes_problems_stand_in_one_order_whichever_limit_comes_first(tiny: TinyBook, reader: Reader) -> None:
    tiny.write({"One": sentences(1, 26, n3="Hasty abrupt", n26="Hasty abrupt")}, render={**RENDER, "attempts": 1})
    render(tiny)
    made = takes_of(tiny)
    assert (kinds_of(made["1:3"]), kinds_of(made["1:26"])) == ([["short", "ending"]], [["short", "ending"]])
    change(tiny, lambda take: replace(take, problems=(Problem("words", "1"),), judged=Limits(None, 0.0)))
    render(tiny)
    assert kinds_of(takes_of(tiny)["1:3"]) == [["short", "ending", "words"]]
