"""Turns book and settings into chunks: texts with their voices, order, and longest lengths.

It reads only the book's files and the layout of a checkpoint on this disk; no torch.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from maya_batch.book.announcement import announcement, before_text
from maya_batch.book.book_id import AUDIO_RULES, rules_of
from maya_batch.book.book_lexicon import compile_lexicon, refused_keys
from maya_batch.book.chapters import Draft, Spoken, planned_chapters, spoken_pieces
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.parallel_cutting import cut_chapters
from maya_batch.book.pause_lengths import PauseLengths, pause_lengths
from maya_batch.book.pieces import MOST_PROBLEMS, chapter_pieces
from maya_batch.book.renamed_book import renamed_book
from maya_batch.book.settings import Sound, sound_settings
from maya_batch.checkpoint.hf_config import CONTEXT, positions_of
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import TokenLayout, read_layout
from maya_batch.errors import Finding, MachineError, ManifestError, UsageError, listed_lines
from maya_batch.manifest import Book, ChapterText, Manuscript, Render, output_folder, read_manuscript
from maya_batch.manifest.source_text import Lines, control_offsets, control_words
from maya_batch.text.chunking import Piece
from maya_batch.text.language import base_language
from maya_batch.text.lexicon import Lexicon
from maya_batch.text.marks import has_marks
from maya_batch.text.parser import parse_script
from maya_batch.text.passage import TextProblem
from maya_batch.text.rules import TEXT_RULES

#: The most chunks of a book: a month of speech; the Bible has 20,000.
MOST_CHUNKS = 200_000


class _Cut(NamedTuple):
    """A text that is cut."""

    pieces: list[Piece]
    spoken: list[Spoken]
    problems: list[TextProblem]
    divided: list[Finding]
    """Warnings of entries of the lexicon that a cut divides."""


@dataclass(frozen=True)
class Plan:
    """A whole book, ready to be rendered."""

    manuscript: Manuscript
    sound: Sound
    layout: TokenLayout
    chapters: tuple[Chapter, ...]
    warnings: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    """The flags without which this book is refused."""
    text_rules: int = TEXT_RULES
    """The version of the text rules by which it is made."""
    audio_rules: int = AUDIO_RULES
    """The version of the audio rules, by which pauses have their defaults."""
    lexicon: Lexicon = field(default_factory=Lexicon)
    """The book's lexicon; its entries are in the order of the manuscript's."""

    @property
    def book(self) -> Book:
        """The book in the manifest."""
        return self.manuscript.book

    @cached_property
    def pauses(self) -> PauseLengths:
        """The book's pauses."""
        return pause_lengths(self.book.pauses, self.audio_rules)

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in reading order."""
        for chapter in self.chapters:
            yield from chapter.chunks

    def seconds(self, chapter: Chapter) -> float:
        """The expected length of a chapter's audio."""
        pauses = self.pauses
        spoken = sum(self.layout.seconds(chunk.expected_frames) + chunk.pause for chunk in chapter.chunks)
        spoken += chapter.chunks[0].pause_before
        if chapter.jingle and self.manuscript.jingle is not None:
            spoken += self.manuscript.jingle.seconds + pauses.after_jingle
        return spoken + pauses.chapter_start + pauses.chapter_end


def make_plan(
    path: Path,
    flags: Render,
    allow_unknown_tags: bool = False,
    allow_language: bool = False,
    output: Path | None = None,
    upgrade_text: bool = False,
) -> Plan:
    """The plan of the book at `path`, by the rules that its folder (`output`, if given) was begun with.

    With `upgrade_text`, by the newest ones.

    Raises:
        ManifestError: all mistakes of the book, each with file:line:column.
        UsageError: a setting is not valid.
        MachineError: a file of the folder `.maya` is not valid.
    """
    manuscript, findings = read_manuscript(path)
    if manuscript is None:
        raise ManifestError(findings)
    try:
        sound = sound_settings(manuscript.book.render, manuscript.folder, flags)
        rules, audio = (TEXT_RULES, AUDIO_RULES) if upgrade_text else rules_of(output_folder(manuscript, output))
        plan = plan_manuscript(manuscript, sound, allow_unknown_tags, findings, allow_language, rules, audio)
    except ManifestError:
        raise
    except UsageError:
        if findings:  # they say where the book names a wrong model
            raise ManifestError(findings) from None
        raise
    renamed = renamed_book(manuscript, output)
    return plan if renamed is None else replace(plan, warnings=(*plan.warnings, renamed))


def plan_manuscript(
    manuscript: Manuscript,
    sound: Sound,
    allow_unknown_tags: bool = False,
    known: Sequence[Finding] = (),
    allow_language: bool = False,
    rules: int = TEXT_RULES,
    audio_rules: int = AUDIO_RULES,
) -> Plan:
    """The plan of a manuscript by versions of the text and the audio rules; `known` are mistakes found in it before.

    Unknown tags and an unknown language are warnings of the plan if allowed, else mistakes.

    Raises:
        ManifestError: the known mistakes, and those in the texts.
        UnicodeEncodeError: this machine's file names cannot hold a title.
    """
    findings = list(known)
    layout, context = speaking_limits(sound.model)
    drafts: list[Draft] = []
    warnings: list[Finding] = []
    allowed: dict[str, None] = {}

    def judge(finding: Finding, flag: str, is_allowed: bool) -> None:
        if is_allowed:
            warnings.append(replace(finding, mend=f"{finding.mend} (allowed)"))
            allowed[flag] = None
        else:
            findings.append(finding)

    def judge_text(text: ChapterText, problem: TextProblem) -> None:
        finding = Finding(*text.place(problem.offset), problem.what, problem.mend)
        judge(finding, "--allow-unknown-tags", problem.tag and allow_unknown_tags)

    language = manuscript.book.language
    if base_language(language) not in layout.languages:
        place = manuscript.place(("language",))
        what = f"this model speaks {', '.join(layout.languages)}, not {language}"
        mend = "choose a model that does, or add --allow-language to render the book anyway"
        judge(Finding(str(manuscript.path), *place, what, mend), "--allow-language", allow_language)
    findings += refused_keys(manuscript, rules)
    lexicon, repeated = compile_lexicon(manuscript)
    findings += repeated
    parts = ["", *(chapter.part for chapter in manuscript.chapters)]
    titles = [
        announcement(chapter, part, str(manuscript.path), manuscript.place)
        for chapter, part in zip(manuscript.chapters, parts, strict=False)
    ]

    def cut(number: int) -> list[_Cut]:
        """A chapter and its title, if it is announced."""
        found = []
        for text in (manuscript.chapters[number], titles[number]):
            if text is not None:
                book = manuscript.book
                pieces, problems, divided = chapter_pieces(text, book, sound, layout, context, rules, lexicon)
                found.append(_Cut(pieces, spoken_pieces(text, pieces, book, rules), problems, divided))
        return found

    chunks = 0
    cuts = cut_chapters(cut, [len(chapter.text) for chapter in manuscript.chapters])
    for chapter, title, found in zip(manuscript.chapters, titles, cuts, strict=True):
        if len(findings) > MOST_PROBLEMS:
            break
        own, *announced = found
        pieces, spoken = own.pieces, own.spoken
        warnings += own.divided
        for before in announced:
            warnings += before.divided
            pieces, spoken = before_text(before.pieces, pieces), [*before.spoken, *spoken]
            for problem in before.problems:
                judge_text(title or chapter, problem)
        chunks += len(pieces)
        if chunks > MOST_CHUNKS:
            what = f"the book has more than {MOST_CHUNKS:,} chunks up to here"
            raise ManifestError([*findings, Finding(*chapter.place(0), what, "split the book into several")])
        for problem in own.problems:
            judge_text(chapter, problem)
        drafts.append(Draft(chapter, pieces, spoken))
    if findings:
        raise ManifestError(findings)
    pauses = pause_lengths(manuscript.book.pauses, audio_rules)
    chapters = planned_chapters(drafts, manuscript.book, sound, pauses)
    for planned in chapters:
        os.fsencode(planned.stem)  # fails now, not during the run, if the locale cannot encode it
    lines = listed_lines(warnings)
    if rules < TEXT_RULES:
        marks = ""
        texts = [draft.text.text for draft in drafts]
        if any(has_marks(text, parse_script(text, manuscript.book.voices, layout.tags, 1)[0]) for text in texts):
            marks = ", and marks like _ and * reach the voice"
        lines.append(
            f"this book was begun with text rules {rules} and keeps them{marks}; `render --upgrade-text` switches it "
            f"to rules {TEXT_RULES}, which changes some chunks"
        )
    return Plan(manuscript, sound, layout, chapters, tuple(lines), tuple(allowed), rules, audio_rules, lexicon)


def speech_plan(text: str, description: str, sound: Sound, language: str = "en") -> list[Chunk]:
    """The chunks of a single text in one voice.

    Raises:
        ManifestError: the mistakes in the text, each with `text:line:column`.
        UsageError: the description is not valid.
    """
    layout, context = speaking_limits(sound.model)
    lines = Lines(text)

    def place(offset: int) -> tuple[str, int, int]:
        return "text", *lines.place(offset)

    findings = [Finding(*place(offset), *control_words(text[offset])) for offset in control_offsets(text)]
    if findings:
        raise ManifestError(findings)
    try:
        book = Book.model_validate(
            {
                "title": "-",
                "language": language,
                "voices": {"voice": description},
                "chapters": [{"title": "1", "text": text}],
            }
        )
    except ValidationError as error:
        raise UsageError(f"--description {error.errors(include_url=False)[0]['msg']}") from error
    chapter = ChapterText(1, "1", "1", "voice", text, place)
    pieces, problems, _ = chapter_pieces(chapter, book, sound, layout, context, TEXT_RULES, Lexicon())
    if problems:
        raise ManifestError([Finding(*place(problem.offset), problem.what, problem.mend) for problem in problems])
    pauses = pause_lengths(book.pauses, AUDIO_RULES)
    draft = Draft(chapter, pieces, spoken_pieces(chapter, pieces, book, TEXT_RULES))
    return list(planned_chapters([draft], book, sound, pauses)[0].chunks)


def speaking_limits(model: str) -> tuple[TokenLayout, int]:
    """The layout and the context, in tokens, of a model; those of Maya1 if it is not on this disk."""
    try:
        checkpoint = find_checkpoint(model, "model")
    except MachineError:
        return TokenLayout(), CONTEXT
    return read_layout(checkpoint.path), positions_of(checkpoint.path)
