"""What of a book is on the disk already: takes, chapter files, and files that belong to no chapter any more."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.writers import FORMATS, Target
from maya_batch.book.book_id import AUDIO_RULES, TEXT_RULES, BookId, read_book_id
from maya_batch.book.chapter_loudness import ChapterStats
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.model_lock import ModelConfig, ModelLock
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.take_store import Take, TakeStore
from maya_batch.errors import UsageError
from maya_batch.manifest import output_folder
from maya_batch.quality import Problem

COMMENT_PREFIX = "maya-batch "
"""How every chapter file says that it is ours; what it was made of follows."""


@dataclass
class BookState:
    """A plan beside what its output folder holds. `model_config` is None where the book was never rendered."""

    plan: Plan
    folder: Path
    store: TakeStore
    lock: ModelLock
    model_config: ModelConfig | None
    codec: str | None
    """The identity of the codec, None as long as the book was not begun."""
    chapter_stats: ChapterStats
    book_id: BookId | None
    """Which book the folder belongs to; None for a folder of version 0.1, and as long as there is none."""
    _takes: dict[str, list[Take]] = field(default_factory=dict)
    _used: dict[str, Take | None] = field(default_factory=dict)
    _keys: dict[tuple[int, int], tuple[ModelConfig, str]] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[int, int]:
        """The versions of the text and audio rules that the book was begun with; the newest for one that was not."""
        if self.book_id is not None:
            return self.book_id.text_rules, self.book_id.audio_rules
        return (1, 1) if self.lock.begun else (TEXT_RULES, AUDIO_RULES)

    def key(self, chunk: Chunk) -> str:
        """The key of a chunk's takes.

        Raises:
            ValueError: the book has no model config yet.
        """
        if self.model_config is None:
            raise ValueError("a book that was not begun has no keys")
        # Asked for many times a chunk; digests were a third of the time that `status` took, recipes' hashes a tenth.
        known = self._keys.get((chunk.chapter, chunk.index))
        if known is None or known[0] is not self.model_config:
            known = self._keys[chunk.chapter, chunk.index] = (
                self.model_config,
                chunk.key(self.model_config, self.plan.sound),
            )
        return known[1]

    def takes(self, chunk: Chunk) -> list[Take]:
        """All takes of a chunk, by attempt; looked up once, and again after `stored`."""
        if self.model_config is None:
            return []
        key = self.key(chunk)
        if key not in self._takes:
            self._takes[key] = self.store.all(key)
        return self._takes[key]

    def take(self, chunk: Chunk) -> Take | None:
        """The take in use for a chunk."""
        if self.model_config is None:
            return None
        key = self.key(chunk)
        if key not in self._used:
            self._used[key] = self.store.best_of(key, self.takes(chunk))
        return self._used[key]

    def stored(self, keys: list[str]) -> None:
        """The takes of these keys have changed on the disk."""
        for key in keys:
            self._takes.pop(key, None)
            self._used.pop(key, None)

    def lacks_take(self, chunk: Chunk) -> bool:
        """Whether there is nothing of a chunk: no take, or only ones cut off by a cap that is higher now."""
        best = self.take(chunk)
        if best is None:
            return True
        if best.finish != "cap" or len(best.codes) >= chunk.max_frames:
            return False
        return all(take.finish == "cap" and len(take.codes) < chunk.max_frames for take in self.takes(chunk))

    def needs_take(self, chunk: Chunk) -> bool:
        """Whether a chunk has to be rendered: it lacks a take, or its best one has problems and attempts are left."""
        if self.lacks_take(chunk):
            return True
        return bool(self.problems_of(chunk)) and self.attempts(chunk) < self.plan.sound.attempts

    def attempts(self, chunk: Chunk) -> int:
        """How many attempts were made at a chunk: the number of its last take, 0 where there is none."""
        return max((take.attempt for take in self.takes(chunk)), default=0)

    def chosen(self, chunk: Chunk) -> bool:
        """Whether the take in use is one that a person chose."""
        take = self.take(chunk)
        return take is not None and self.store.chosen(take.key) == take.attempt

    def problems_of(self, chunk: Chunk) -> tuple[Problem, ...]:
        """What stands against the take in use; nothing where a person chose it, or there is none."""
        take = self.take(chunk)
        return () if take is None or self.chosen(chunk) else take.problems

    def omitted(self, chunk: Chunk) -> bool:
        """Whether a chunk is left out of its chapter, as the book wants it of those that failed in all attempts."""
        return self.plan.sound.failed == "omit" and bool(self.problems_of(chunk)) and not self.needs_take(chunk)

    def complete(self, chapter: Chapter) -> bool:
        """Whether each chunk of the chapter has a take."""
        return not any(self.lacks_take(chunk) for chunk in chapter.chunks)

    def current(self, chapter: Chapter) -> bool:
        """Whether the chapter's files are there and made of the takes now in use."""
        if self.model_config is None or self.codec is None or not self.complete(chapter):
            return False
        return all(read_comment(target.path) == self.fingerprint(chapter) for target in self.targets(chapter))

    def targets(self, chapter: Chapter) -> list[Target]:
        """The files of a chapter, one a format."""
        formats = self.plan.book.output.formats
        return [
            Target(self.folder / f"{chapter.stem}.{format_.type}", format_.type, format_.bitrate) for format_ in formats
        ]

    def fingerprint(self, chapter: Chapter) -> str:
        """What a chapter's files carry as their comment: a digest of all that they are made of."""
        book = self.plan.book
        made_of = {
            "version": self.rules[1],
            "codec": self.codec,
            "dropped": self.plan.layout.clip_start_samples,
            "takes": [
                [self.key(chunk), self._attempt(chunk), chunk.pause]
                for chunk in chapter.chunks
                if not self.omitted(chunk)
            ],
            "edges": [book.pauses.chapter_start, book.pauses.chapter_end],
            "tags": [chapter.title, book.title, book.author, chapter.number, len(self.plan.chapters)],
            "formats": [[format_.type, format_.bitrate] for format_ in book.output.formats],
        }
        canonical = json.dumps(made_of, sort_keys=True, ensure_ascii=False)
        return COMMENT_PREFIX + hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def problems(self) -> Iterator[tuple[Chunk, Problem]]:
        """What is on record against the takes in use, in reading order."""
        for chunk in self.plan.chunks():
            for problem in self.problems_of(chunk):
                yield chunk, problem

    def stale_files(self) -> list[Path]:
        """Audio files of this program in the folder that no chapter of the book, as it is now, has."""
        expected = {target.path.name for chapter in self.plan.chapters for target in self.targets(chapter)}
        return sorted(path for path in self._audio_files() if path.name not in expected and is_chapter(path))

    def fingerprints(self) -> set[str]:
        """The marks of all audio files in the folder."""
        return {fingerprint for path in self._audio_files() if (fingerprint := read_comment(path))}

    def _audio_files(self) -> Iterator[Path]:
        """All files in the folder that could be a chapter's, by their names."""
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if path.suffix[1:] in FORMATS)

    def _attempt(self, chunk: Chunk) -> int:
        take = self.take(chunk)
        return take.attempt if take else 0


def is_chapter(path: Path) -> bool:
    """Whether this is a whole chapter file of this program's."""
    return (read_comment(path) or "").startswith(COMMENT_PREFIX)


def hidden_folder(folder: Path) -> Path:
    """Where a book's takes, pins and log lie, inside its output folder."""
    return folder / ".maya"


def book_state(plan: Plan, machine: Machine, output: Path | None = None) -> BookState:
    """What of the plan is on the disk, by its model.lock: no model is looked at, nothing is hashed.

    Raises:
        UsageError: a link leads out of the output folder.
        MachineError: a file of the folder `.maya` is not what it should be.
    """
    folder = output_folder(plan.manuscript, output)
    if output is None and plan.book.output.folder is None and folder.is_symlink():
        raise UsageError(f"{folder} is a link; to render the book where it leads, name it with --output")
    hidden = hidden_folder(folder)
    for inside in (hidden, hidden / "takes"):
        if inside.is_symlink() or (inside.exists() and not inside.is_dir()):
            what = "a link" if inside.is_symlink() else "no folder"
            raise UsageError(f"{inside} is {what}; move it away, and link the whole output folder where one is needed")
    lock = ModelLock(hidden / "model.lock", plan.manuscript.folder)
    model_config = asked_model_config(lock.model_config(plan.sound.model), machine)
    return BookState(
        plan,
        folder,
        TakeStore(hidden, plan.layout.codebook_size),
        lock,
        model_config,
        lock.codec(plan.sound.codec),
        ChapterStats(hidden),
        read_book_id(hidden),
    )


def begun_state(plan: Plan, machine: Machine, output: Path | None = None) -> BookState:
    """What is on the disk of a book that was begun.

    Raises:
        UsageError: nothing of it was rendered yet with this model.
    """
    state = book_state(plan, machine, output)
    if state.model_config is None:
        raise UsageError(f"{state.folder}: nothing of this book was rendered yet with {plan.sound.model}; render it")
    return state


def asked_model_config(model_config: ModelConfig | None, machine: Machine) -> ModelConfig | None:
    """The book's model config, with what the machine's settings ask for in so many words."""
    if model_config is None:
        return None
    return ModelConfig(
        model_config.model,
        model_config.dtype if machine.dtype == "auto" else machine.dtype,
        model_config.quantization if machine.quantization is None else machine.quantization,
        model_config.decoding if machine.decoding == "auto" else machine.decoding,
    )
