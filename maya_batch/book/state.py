"""Which parts of a book are on the disk: takes, and chapter files that are made of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.writers import Target
from maya_batch.book.book_id import AUDIO_RULES, BookId, read_book_id
from maya_batch.book.chapter_fingerprint import file_fingerprint, fingerprint, made_of
from maya_batch.book.chapter_records import ChapterRecords
from maya_batch.book.chapter_sound import ChapterSound
from maya_batch.book.chapter_stats import ChapterStats
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.model_lock import ModelConfig, ModelLock
from maya_batch.book.output_files import OutputFiles, hidden_folder
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.take_store import Take, TakeStore
from maya_batch.errors import UsageError
from maya_batch.manifest import Format, output_folder
from maya_batch.quality import Problem
from maya_batch.text.rules import TEXT_RULES
from maya_batch.wording import models_flag


@dataclass
class BookState:
    """A plan, and the content of its output folder. `model_config` is None if the book was never rendered."""

    plan: Plan
    folder: Path
    store: TakeStore
    lock: ModelLock
    model_config: ModelConfig | None
    codec: str | None
    """The identity of the codec; None if the book was never rendered."""
    chapter_stats: ChapterRecords[ChapterStats]
    chapter_sounds: ChapterRecords[ChapterSound]
    book_id: BookId | None
    """The book that the folder belongs to; None for a folder of version 0.1, and if there is no folder yet."""
    _takes: dict[str, list[Take]] = field(default_factory=dict)
    _used: dict[str, Take | None] = field(default_factory=dict)
    _keys: dict[tuple[int, int], tuple[ModelConfig, str]] = field(default_factory=dict)

    @cached_property
    def output(self) -> OutputFiles:
        """The book's audio files."""
        return OutputFiles(self.plan, self.folder)

    @property
    def rules(self) -> tuple[int, int]:
        """The versions of the text and audio rules that the book was started with; the newest for a new book."""
        if self.book_id is not None:
            return self.book_id.text_rules, self.book_id.audio_rules
        return (1, 1) if self.lock.begun else (TEXT_RULES, AUDIO_RULES)

    def key(self, chunk: Chunk) -> str:
        """The key of a chunk's takes.

        Raises:
            ValueError: the book has no model config yet.
        """
        if self.model_config is None:
            raise ValueError("the book has no model config yet, so its chunks have no keys")
        # Cached: keys are needed many times a chunk. Digests took a third of the time of `status`, and hashing the
        # model config a tenth.
        known = self._keys.get((chunk.chapter, chunk.index))
        if known is None or known[0] is not self.model_config:
            known = self._keys[chunk.chapter, chunk.index] = (
                self.model_config,
                chunk.key(self.model_config, self.plan.sound),
            )
        return known[1]

    def takes(self, chunk: Chunk) -> list[Take]:
        """All takes of a chunk, by attempt; read once, and again after `stored`."""
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
        """Read the takes of these keys again: they have changed on the disk."""
        for key in keys:
            self._takes.pop(key, None)
            self._used.pop(key, None)

    def lacks_take(self, chunk: Chunk) -> bool:
        """Whether a chunk has no usable take: it has none, or all were cut off by a max_frames that is higher now."""
        best = self.take(chunk)
        if best is None:
            return True
        if best.finish != "cap" or len(best.codes) >= chunk.max_frames:
            return False
        return all(take.finish == "cap" and len(take.codes) < chunk.max_frames for take in self.takes(chunk))

    def needs_take(self, chunk: Chunk) -> bool:
        """Whether a chunk must be rendered: it lacks a take, or the take in use has problems and attempts are left."""
        if self.lacks_take(chunk):
            return True
        return bool(self.problems_of(chunk)) and self.attempts(chunk) < self.plan.sound.attempts

    def attempts(self, chunk: Chunk) -> int:
        """The number of attempts made for a chunk: that of its last take, 0 if it has none."""
        return max((take.attempt for take in self.takes(chunk)), default=0)

    def chosen(self, chunk: Chunk) -> bool:
        """Whether a person chose the take in use."""
        take = self.take(chunk)
        return take is not None and self.store.chosen(take.key) == take.attempt

    def problems_of(self, chunk: Chunk) -> tuple[Problem, ...]:
        """The problems of the take in use; none if a person chose it, or there is no take."""
        take = self.take(chunk)
        return () if take is None or self.chosen(chunk) else take.problems

    def omitted(self, chunk: Chunk) -> bool:
        """Whether a chunk is left out of its chapter: the book has `failed: omit`, and all attempts have problems."""
        return self.plan.sound.failed == "omit" and bool(self.problems_of(chunk)) and not self.needs_take(chunk)

    def complete(self, chapter: Chapter) -> bool:
        """Whether each chunk of the chapter has a take."""
        return not any(self.lacks_take(chunk) for chunk in chapter.chunks)

    def current(self, chapter: Chapter) -> bool:
        """Whether the chapter's files exist and are made of the takes in use."""
        if self.model_config is None or self.codec is None or not self.complete(chapter):
            return False
        return not self.outdated(chapter)

    def outdated(self, chapter: Chapter) -> list[Target]:
        """The files of a complete chapter that do not exist or are made of something else, with new fingerprints."""
        of_all = self.fingerprint(chapter)  # version 0.2 wrote one fingerprint of all formats into each file
        return [target for target in self.targets(chapter) if read_comment(target.path) not in (target.comment, of_all)]

    def targets(self, chapter: Chapter) -> list[Target]:
        """All files of a complete chapter, with the fingerprints that they have if they are current."""
        return [
            replace(target, comment=self.file_fingerprint(chapter, format_))
            for target, format_ in zip(self.output.targets(chapter), self.output.formats, strict=True)
        ]

    def fingerprint(self, chapter: Chapter) -> str:
        """A digest of all that a chapter's files are made of, in all formats of audio, with a prefix."""
        return self.fingerprint_in(chapter, *self.plan.book.output.audio)

    def fingerprint_in(self, chapter: Chapter, *formats: Format) -> str:
        """As `fingerprint`, in these formats."""
        return fingerprint(self._made_of(chapter, *formats))

    def file_fingerprint(self, chapter: Chapter, format_: Format) -> str:
        """The comment that a chapter's file in this format has if it is current."""
        return file_fingerprint(self._made_of(chapter, format_))

    def _made_of(self, chapter: Chapter, *formats: Format) -> dict[str, object]:
        takes = [
            (self.key(chunk), self._attempt(chunk), chunk.pause) for chunk in chapter.chunks if not self.omitted(chunk)
        ]
        return made_of(self.plan, chapter, takes, self.codec, self.rules[1], formats)

    def problems(self) -> Iterator[tuple[Chunk, Problem]]:
        """The problems of the takes in use, with their chunks, in reading order."""
        for chunk in self.plan.chunks():
            for problem in self.problems_of(chunk):
                yield chunk, problem

    def _attempt(self, chunk: Chunk) -> int:
        take = self.take(chunk)
        return take.attempt if take else 0


def book_state(plan: Plan, machine: Machine, output: Path | None = None) -> BookState:
    """The state of the plan on the disk, by its model.lock; it reads no model and hashes nothing.

    Raises:
        UsageError: the output folder or one above it is a file, or a link leads out of it.
        MachineError: a file of the folder `.maya` is not valid.
    """
    folder = output_folder(plan.manuscript, output)
    if output is None and plan.book.output.folder is None and folder.is_symlink():
        raise UsageError(f"{folder} is a link; to render the book into its target, name it with --output")
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if there is not None and not there.is_dir():
        raise UsageError(f"{there} is not a folder; move it, or name another --output")
    hidden, output_files = hidden_folder(folder), OutputFiles(plan, folder)
    for inside in (hidden, hidden / "takes", output_files.streams_folder, output_files.epub_folder):
        if inside.is_symlink() or (inside.exists() and not inside.is_dir()):
            what = "a link" if inside.is_symlink() else "not a folder"
            raise UsageError(f"{inside} is {what}; move it (only the whole output folder may be a link)")
    lock = ModelLock(hidden / "model.lock", plan.manuscript.folder)
    model_config = asked_model_config(lock.model_config(plan.sound.model), machine)
    return BookState(
        plan,
        folder,
        TakeStore(hidden, plan.layout.codebook_size),
        lock,
        model_config,
        lock.codec(plan.sound.codec),
        ChapterRecords(hidden / "chapters.json", dict[str, ChapterStats]),
        ChapterRecords(hidden / "sound.json", dict[str, ChapterSound]),
        read_book_id(hidden),
    )


def begun_state(plan: Plan, machine: Machine, output: Path | None = None) -> BookState:
    """The state of a book that was rendered before.

    Raises:
        UsageError: nothing is rendered with this model yet.
    """
    state = book_state(plan, machine, output)
    if state.model_config is None:
        pinned = state.lock.pinned()
        mend = "run `render` first" if pinned is None else models_flag(state.lock.path(pinned[0]))
        raise UsageError(f"{state.folder}: nothing is rendered with {plan.sound.model} yet; {mend}")
    return state


def asked_model_config(model_config: ModelConfig | None, machine: Machine) -> ModelConfig | None:
    """The book's model config, with the values that the machine's settings set explicitly."""
    if model_config is None:
        return None
    return ModelConfig(
        model_config.model,
        model_config.dtype if machine.dtype == "auto" else machine.dtype,
        model_config.quantization if machine.quantization is None else machine.quantization,
        model_config.decoding if machine.decoding == "auto" else machine.decoding,
        model_config.kv_cache if machine.kv_cache == "auto" else machine.kv_cache,
    )
