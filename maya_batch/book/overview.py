"""Summarizes a book for `plan` and `status`: its size, what is rendered, and its problems."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from maya_batch.audio.writers import FORMATS
from maya_batch.book.book_files import book_file_states
from maya_batch.book.book_lexicon import LexiconUse, lexicon_use
from maya_batch.book.character_accounting import Characters, book_characters, chapter_characters
from maya_batch.book.chunk import Chapter
from maya_batch.book.epub_file import epub_states
from maya_batch.book.leftovers import left_over
from maya_batch.book.machine_speed import Speed
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState
from maya_batch.book.subtitle_files import book_subtitle_states, chapter_subtitles
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.load import engine_for
from maya_batch.manifest import SkippedChapter
from maya_batch.messages.plural import plural
from maya_batch.wording import models_flag

#: Bytes of a frame in a take's file (seven codes of two bytes), and of the rest of the file (about 900).
_FRAME_BYTES, _TAKE_BYTES = 2 * SLOTS, 900

_FILE_STATES = {
    "current": "current",
    "outdated": "outdated; `maya-batch assemble` writes it",
    "missing": "missing; `maya-batch assemble` writes it",
    "waiting": "waits until the files of all chapters are current",
}

#: What is left of 16-bit speech in a format that compresses without loss, as a share.
_LOSSLESS = {"flac": 0.6}


@dataclass(frozen=True)
class ChapterLine:
    """One chapter. `file` is `current`, `outdated`, `missing` or `incomplete`; minutes are of audio."""

    number: int
    title: str
    chunks: int
    rendered: int
    words: int
    minutes: float
    tokens: int
    file: str
    problems: list[str]
    characters: Characters
    part: str = ""
    """The part of the book that it belongs to; empty without one."""


@dataclass(frozen=True)
class Description:
    """A book. `disk_bytes` is the size of its audio and takes when all is rendered."""

    title: str
    author: str
    model: str
    engine: str
    """The engine that renders with this model: `hf` or `gguf`."""
    folder: str
    chapters: list[ChapterLine]
    chunks: int
    rendered: int
    words: int
    minutes: float
    tokens: int
    disk_bytes: int
    free_bytes: int
    stale_files: list[str]
    unused_takes: int
    render_minutes: float | None
    """Estimated time to render the missing chunks, by the last benchmark of this machine; None without one."""
    notes: list[str]
    model_configs: list[str]
    """The current model config, then the earlier ones: model, number format, quantization and decoding."""
    characters: Characters
    """All characters of the book by outcome."""
    lexicon: LexiconUse | None
    """What the book uses of its lexicon; None without one."""
    skipped: list[SkippedChapter]
    """The chapters that the manifest skips."""
    book_files: dict[str, str]
    """What the M4B is, or its parts, their subtitles, and the EPUB, by path: `current`, `outdated`, `missing`, or
    `waiting` for chapters.

    Plans do not tell it.
    """

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The summary for people."""
        head = f"{self.title}, {self.author}" if self.author else self.title
        lines = [head, f"model {self.model}, engine {self.engine}, output {self.folder}"]
        if self.model_configs:
            before = f"; before with {' and '.join(self.model_configs[1:])}" if self.model_configs[1:] else ""
            lines.append(f"rendered with {self.model_configs[0]}{before}")
        lines.append("")
        both: list[ChapterLine | SkippedChapter] = [*self.chapters, *self.skipped]
        width = max(len(chapter.title) for chapter in both)
        part = ""
        for chapter in sorted(both, key=lambda chapter: chapter.number):
            if chapter.part != part:
                part = chapter.part
                lines.append(part)
            if isinstance(chapter, SkippedChapter):
                reason = f" ({chapter.reason})" if chapter.reason else ""
                count = plural(chapter.characters, "character")
                lines.append(f"{chapter.number:4}  {chapter.title:{width}}  skipped{reason}, {count}")
                continue
            lines.append(
                f"{chapter.number:4}  {chapter.title:{width}}  {chapter.words:6} words  {chapter.minutes:6.1f} min  "
                f"{chapter.rendered:4} of {plural(chapter.chunks, 'chunk')} rendered, file {chapter.file}"
            )
            lines += [f"      {problem}" for problem in chapter.problems]
        lines += [
            "",
            f"{plural(self.words, 'word')} in {plural(self.chunks, 'chunk')}, {self.tokens} tokens: "
            f"{self.minutes:.1f} minutes of audio",
            f"{self.rendered} of {plural(self.chunks, 'chunk')} rendered",
            f"{plural(self.characters.total, 'character')}: {accounted(self.characters)}",
            f"disk: about {self.disk_bytes / 1e6:.0f} MB in all, {self.free_bytes / 1e9:.0f} GB free",
        ]
        lines += [f"{path}: {_FILE_STATES[file]}" for path, file in self.book_files.items()]
        lines += [f"left over: {path}" for path in self.stale_files]
        if self.unused_takes:
            unused = plural(self.unused_takes, "unused take")
            lines.append(f"{unused}; `maya-batch clean` lists unused takes and asks before it removes them")
        return lines + self.notes


def describe(state: BookState, machine: Machine, takes: bool, speed: Speed | None = None) -> Description:
    """The book as it is now; with `takes`, unused files are listed, too. `speed` is that of the last benchmark.

    Raises:
        UsageError: the engine that the settings name does not load this kind of model.
    """
    plan = state.plan
    engine = engine_for(machine.engine, Path(plan.sound.model))  # by the name: the model need not be on this machine
    lines = [_chapter_line(state, chapter) for chapter in plan.chapters]
    seconds = sum(plan.seconds(chapter) for chapter in plan.chapters)
    frames = sum(chunk.expected_frames for chunk in plan.chunks())
    chunks = sum(line.chunks for line in lines)
    notes = []
    missing = sum(chunk.expected_frames for chunk in plan.chunks() if state.needs_take(chunk))
    minutes = None
    if speed is not None and missing:
        minutes = round((plan.layout.seconds(missing) / speed.x_realtime + speed.start_s) / 60, 1)
        notes.append(f"rendering: about {minutes:.1f} minutes, at {speed.x_realtime:.1f}x real time on {speed.device}")
    use = lexicon_use(plan.manuscript, plan.lexicon, plan.chunks())
    if use is not None and not takes:
        notes.append(str(use))
    left = left_over(state) if takes else None
    notes += _pinned(state)
    notes += [
        f"model {name} is missing, or has changed since the book was started, so unused takes are not listed"
        for name in (left.absent if left else ())
    ]
    return Description(
        title=plan.book.title,
        author=plan.book.author,
        model=plan.sound.model,
        engine=engine,
        folder=str(state.folder),
        chapters=lines,
        chunks=chunks,
        rendered=sum(line.rendered for line in lines),
        words=sum(line.words for line in lines),
        minutes=round(seconds / 60, 1),
        tokens=frames * SLOTS,
        disk_bytes=round(seconds * _bytes_a_second(state)) + frames * _FRAME_BYTES + chunks * _TAKE_BYTES,
        free_bytes=shutil.disk_usage(_existing(state.folder)).free,
        stale_files=[] if left is None else [str(path) for path in left.files],
        unused_takes=0 if left is None else len(left.takes),
        render_minutes=minutes,
        notes=notes,
        model_configs=model_configs(state),
        characters=book_characters(state, [line.characters for line in lines]),
        lexicon=use,
        skipped=list(plan.manuscript.skipped),
        book_files={str(path): file for path, file in _book_file_states(state).items()} if takes else {},
    )


def model_configs(state: BookState) -> list[str]:
    """The current model config, then the earlier ones, in the form that `clean --forget` takes."""
    pinned = state.lock.pinned()
    known = [f"{name},{model_config}" for name, model_config in state.lock.configs()]
    now = [] if pinned is None else [f"{pinned[0]},{pinned[1]}"]
    return [*now, *(config for config in dict.fromkeys(known) if config not in now)]


def _pinned(state: BookState) -> list[str]:
    """A note if the book is rendered with another model config than the requested one."""
    configs, model_config = model_configs(state), state.model_config
    asked = state.lock.name(state.plan.sound.model)
    asked = asked if model_config is None else f"{asked},{model_config}"
    if not configs or asked in configs[: 1 if state.lock.pinned() else None]:
        return []
    note = f"shown as rendered with {asked}, which `render` refuses without --switch-model-config"
    pinned = state.lock.pinned()
    if pinned is not None and pinned[0] != state.lock.name(state.plan.sound.model):
        note += f"; {models_flag(state.lock.path(pinned[0]))}"
    return [note]


def accounted(characters: Characters) -> str:
    """The counts of characters in one line, without zeros."""
    parts = {name: count for name, count in asdict(characters).items() if name != "total" and count}
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in parts.items()) or "none"


def _chapter_line(state: BookState, chapter: Chapter) -> ChapterLine:
    rendered = sum(not state.lacks_take(chunk) for chunk in chapter.chunks)
    if rendered < len(chapter.chunks):
        file = "incomplete" if rendered else "missing"
    elif state.current(chapter):
        texts = {text.state for text in chapter_subtitles(state, chapter)}
        file = next((name for name in ("missing", "outdated") if name in texts), "current")
    else:
        there = all(target.path.is_file() for target in state.output.targets(chapter))
        file = "outdated" if there else "missing"
    return ChapterLine(
        number=chapter.number,
        title=chapter.title,
        chunks=len(chapter.chunks),
        rendered=rendered,
        words=sum(chunk.words for chunk in chapter.chunks),
        minutes=round(state.plan.seconds(chapter) / 60, 1),
        tokens=sum(chunk.expected_frames for chunk in chapter.chunks) * SLOTS,
        file=file,
        problems=[
            f"{chunk.ref} {problem.kind}: {problem.detail}"
            for chunk in chapter.chunks
            for problem in state.problems_of(chunk)
        ],
        characters=chapter_characters(state, chapter),
        part=chapter.part,
    )


def _book_file_states(state: BookState) -> dict[Path, str]:
    return book_file_states(state) | book_subtitle_states(state) | epub_states(state)


def _bytes_a_second(state: BookState) -> float:
    """The bytes of a second of audio in all formats of the book."""
    total = 0.0
    output = state.plan.book.output
    for format_ in (*output.audio, *([output.epub_audio] if output.epub_audio is not None else [])):
        copies = 2 if FORMATS[format_.type].of_book else 1  # the chapters' streams are kept
        rate = format_.sample_rate or state.plan.layout.sampling_rate
        plain = rate * 2 * _LOSSLESS.get(format_.type, 1.0)
        total += copies * (plain if format_.bitrate is None else int(format_.bitrate.removesuffix("k")) * 125)
    return total


def _existing(folder: Path) -> Path:
    """The nearest existing folder, `folder` or one above it: it is on the same disk."""
    return next(path for path in [folder, *folder.absolute().parents] if path.is_dir())
