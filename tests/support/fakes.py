"""Stand-ins that let a whole run pass in milliseconds: an engine and a codec without a model, and folders that
look like checkpoints, on the disk or in the hub's cache.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from maya_batch.book.plan import Plan, make_plan
from maya_batch.checkpoint.token_layout import SLOTS, Codes, TokenLayout
from maya_batch.engine.api import NO_HOOKS, CacheRounding, Decoding, EngineStats, Generation, Hooks, Request, Sampling
from maya_batch.manifest import Render
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.hearing import SpokenTake
from maya_batch.quality.transcriber import Transcriber
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import ProgressListener

LAYOUT = {
    "bos": 8,
    "eot": 9,
    "soh": 10,
    "eoh": 11,
    "soa": 12,
    "sos": 13,
    "eos": 14,
    "pad": 15,
    "code_offset": 16,
    "codebook_size": 64,
    "tokens_per_frame": 7,
    "frame_samples": 2048,
    "sampling_rate": 24000,
    "frame_order": ["L1", "L2a", "L3a", "L3b", "L2b", "L3c", "L3d"],
    "tags": ["laugh", "sigh"],
}
"""A small maya_tokens.json."""

STRAY = "frame 3, slot 2: token 5 is not of this slot"

LONGWINDED = 200
"""Frames that a text with the word "Longwinded" needs."""


class FakeEngine:
    """Writes plausible codes by the seed alone. A word of the text decides how a sequence ends:

    "Endless" never does, "Broken" breaks out of its frame, "Clumsy" does so the first time, "Hush" is silent,
    "Longwinded" needs many frames.
    """

    name = "hf"

    def __init__(self, layout: TokenLayout, batch_size: int = 4) -> None:
        self.layout, self.batch_size = layout, batch_size
        self.dtype, self.quantization, self.kv_cache = "float32", "none", "model"
        self.offers_int8_cache = False
        self.rounding = CacheRounding(1, 100, 0.0, 1.0)
        """What a trial of the cache in 8 bits finds."""
        self.known_tags = layout.tags
        self.mass = 1.0
        self.stats = EngineStats()
        self.batches: list[list[str]] = []
        self.requests: list[Request] = []
        self.decodings: list[Decoding] = []
        self.before_batch: Callable[[int], None] = lambda count: None
        """Called with the number of batches done, before each one."""

    @property
    def texts(self) -> list[str]:
        """All texts that were requested, in order."""
        return [text for batch in self.batches for text in batch]

    def tags(self) -> tuple[str, ...]:
        return self.known_tags

    def in_grammar_probabilities(self, requests: Sequence[Request], sampling: Sampling) -> tuple[float, ...]:
        return (self.mass,) * SLOTS

    def use_kv_cache(self, kv_cache: str) -> None:
        self.kv_cache = kv_cache

    def cache_rounding(self, requests: Sequence[Request], generations: Sequence[Generation]) -> CacheRounding:
        assert {request.key for request in requests} == {generation.key for generation in generations}
        return self.rounding

    def peak_memory(self) -> int:
        return 0

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        waiting = list(requests)

        def joined() -> list[Request]:
            known = [*hooks.retries(), *waiting]
            return [*known, *(hooks.later() if len(known) < self.batch_size else ())]

        while waiting := joined():
            batch, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
            self.before_batch(len(self.batches))
            hooks.tick()
            self.batches.append([request.text for request in batch])
            self.requests += batch
            self.decodings.append(decoding)
            yield [self._speak(request) for request in batch]

    def _speak(self, request: Request) -> Generation:
        rng = np.random.default_rng(request.seed)
        needed = LONGWINDED if "Longwinded" in request.text else request.likely_frames
        if "Endless" in request.text:
            needed = request.max_frames + 1
        frames = min(needed, request.max_frames)
        codes = rng.integers(1, self.layout.codebook_size, (frames, SLOTS)).astype(np.uint16)
        first = sum(asked.key == request.key for asked in self.requests) == 1
        if "Broken" in request.text or ("Clumsy" in request.text and first):
            return Generation(request.key, codes[:3], "broken", f"invalid frame ({STRAY})")
        if "Hush" in request.text:
            codes[:, -1] = 0
        return Generation(request.key, codes, "eos" if needed <= request.max_frames else "cap")


class FakeCodec:
    """A short hum a clip, settled by its codes and seed; codes of nothing but 0 in the last slot are silent."""

    def __init__(self) -> None:
        self.decoded = 0

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        self.decoded += 1
        if not codes[:, -1].any():
            return np.zeros(2400, dtype=np.float32)
        pitch = 0.02 + 0.001 * ((int(codes.sum()) + seed) % 7)
        wave: NDArray[np.float32] = (0.3 * np.sin(pitch * np.arange(2400))).astype(np.float32)
        return wave


class WholeCodec(FakeCodec):
    """Makes as many samples of a frame as a codec does; a clip ends with silence."""

    def __init__(self, layout: TokenLayout) -> None:
        super().__init__()
        self._layout = layout

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        wanted = len(codes) * self._layout.frame_samples - self._layout.clip_start_samples
        wave = np.resize(super().decode(codes, seed), wanted)
        wave[-wanted // 4 :] = 0
        return wave


class FakeTranscriber(Transcriber):
    """Understands every text, but with the word errors in `errors`, by text, one for each take of it."""

    batch = workers = 1

    def __init__(self, loaders: Loaders) -> None:
        """From now on takes are transcribed by it."""
        self.listened: list[str] = []
        self.respellings: list[dict[str, str]] = []
        self.errors: dict[str, list[float]] = {}
        self.failure: Exception | None = None
        loaders.transcriber = lambda *_: self

    def find(self) -> None:
        pass

    def load(self, engine_device: str) -> None:
        pass

    def transcribe(self, takes: Sequence[SpokenTake], rate: int) -> list[tuple[Transcript, tuple[Problem, ...]]]:
        if self.failure is not None:
            raise self.failure
        return [self._transcribed(take) for take in takes]

    def _transcribed(self, take: SpokenTake) -> tuple[Transcript, tuple[Problem, ...]]:
        self.listened.append(take.text)
        self.respellings.append(dict(take.respellings))
        errors = self.errors.get(take.text, [])
        error = errors.pop(0) if errors else 0.0
        transcript = Transcript("fake", take.text, error, (0,) if error else ())
        return transcript, (Problem("missing", "a word"),) if error else ()


def unexpected(*_: object, **__: object) -> Any:
    """A loader that must not be called."""
    raise AssertionError("a model was loaded")


class Events(ProgressListener):
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, Any]] = []

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        self.heard.append(("begun", (chunks, waiting)))

    def expected(self, chunks: int) -> None:
        self.heard.append(("expected", chunks))

    def examined(self) -> None:
        self.heard.append(("examined", 1))

    def tick(self) -> None:
        pass

    def rendered(self, chunks: int, seconds: float) -> None:
        self.heard.append(("rendered", chunks))

    def published(self, path: Path, seconds: float) -> None:
        self.heard.append(("published", path.name))

    def named(self, name: str) -> list[Any]:
        return [value for kind, value in self.heard if kind == name]


@dataclass(frozen=True)
class TinyBook:
    """A book of paragraphs, one chunk each, beside a model and a codec that are nothing but names."""

    folder: Path
    loaders: Loaders = field(default_factory=Loaders)

    @property
    def path(self) -> Path:
        return self.folder / "book.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "book"

    def write(self, chapters: Mapping[str, Sequence[str]], /, **more: object) -> Path:
        data: dict[str, object] = {
            "title": "Tiny",
            "voices": {"anna": "A calm voice", "tom": "Another voice"},
            "render": {"model": "./lm", "codec": "./codec"},
            "pauses": {"sentence": 0.1, "paragraph": 0.1, "chapter_start": 0, "chapter_end": 0.1},
            "chapters": [{"title": title, "text": "\n\n".join(text)} for title, text in chapters.items()],
        }
        self.path.write_text(yaml.safe_dump(data | more, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return self.path

    def plan(self, **flags: object) -> Plan:
        return make_plan(self.path, Render().model_copy(update=flags))


def write_model(folder: Path, layout: Mapping[str, object] | None = None) -> Path:
    """A folder that passes for a language model as long as nobody loads it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 4096}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "maya_tokens.json").write_text(json.dumps(layout or LAYOUT))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def write_gguf(path: Path, content: bytes = b"GGUF") -> Path:
    """A file that passes for a GGUF model as long as nobody reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_codec(folder: Path) -> Path:
    """A folder that passes for a codec as long as nobody loads it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"weights")
    return folder


def write_hub_gguf(cache: Path, repo: str, commit: str, *names: str) -> Path:
    """GGUF files in the hub's cache, each a link to a blob of another name; the snapshot's folder."""
    home = cache / f"models--{repo.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    for name in names:
        blob = write_gguf(home / "blobs" / name.removesuffix(".gguf"), name.encode())
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    return snapshot


def write_hub_model(cache: Path, repo: str, commit: str, branch: str | None = "main") -> Path:
    """A model in the hub's cache, its files links to blobs as huggingface_hub has them; the snapshot's folder."""
    home = cache / f"models--{repo.replace('/', '--')}"
    snapshot = write_model(home / "snapshots" / commit)
    (home / "blobs").mkdir(exist_ok=True)
    for path in list(snapshot.iterdir()):
        blob = home / "blobs" / f"{commit[:8]}-{path.name}"
        path.rename(blob)
        path.symlink_to(Path("../../blobs") / blob.name)
    if branch is not None:
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / branch).write_text(commit)
    return snapshot
