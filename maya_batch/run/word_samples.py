"""Speaks a word of a book in its sentences, with the lexicon's respelling and with others (`audition --word`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maya_batch.book.chapters import spoken_as
from maya_batch.book.chunk import Chunk
from maya_batch.book.pieces import sayings
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.word_list import as_written
from maya_batch.errors import UsageError
from maya_batch.interrupt import Stop
from maya_batch.manifest import file_stem
from maya_batch.manifest.error_recovery import suggestion
from maya_batch.manifest.lexicon import respelling_mistake, word_mistake
from maya_batch.messages.quoting import quoted
from maya_batch.run.loading import Loaders
from maya_batch.run.sample_files import Sample
from maya_batch.run.samples import audition_paths, record_readings
from maya_batch.text.lexicon import Entry, Lexicon
from maya_batch.text.rewriting import said
from maya_batch.text.sentences import sentences

#: The most sentences of a file.
_SENTENCES = 3


@dataclass(frozen=True)
class _Candidate:
    """A way to say the word, and the lexicon that says it."""

    name: str
    """The end of the file's name."""
    lexicon: Lexicon


def audition_word(
    plan: Plan,
    word: str,
    respellings: Sequence[str],
    machine: Machine,
    voice: str | None = None,
    folder: Path | None = None,
    check_tags: bool = True,
    stop: Stop | None = None,
    loaders: Loaders | None = None,
) -> list[Sample]:
    """Speak the first sentences of the book with a word, once for each way to say it, each into a file.

    The first file has the book's own way: the lexicon's respelling, or the word as it is written; the others have the
    `respellings`, and are named after them. The voice is `voice`, or that of each sentence. The book is not changed.

    Raises:
        Interruption: a signal came.
        UsageError: the book has no such word or voice, a respelling is not valid, or a file is in the way.
        MachineError: a model, the GPU, the disk or ffmpeg is missing or failed.
    """
    _check(plan, word, respellings, voice)
    found = list(_sentences(plan, word, voice))
    if not found:
        raise UsageError(f"--word {quoted(word)}: the book has no such word; `maya-batch words` lists its names")
    candidates = _candidates(plan, word, respellings, found[0][0].voice)
    stem = file_stem(word) or "word"
    paths = audition_paths(plan, [f"{stem}-{candidate.name}.wav" for candidate in candidates], folder)
    readings = [
        [
            replace(
                spoken_as(chunk, _said(text, chunk.voice, candidate, plan), chunk.voice, plan.book, plan.sound.seed),
                occurrence=number,
                pause=plan.pauses.paragraph,
            )
            # Their keys differ, as two of them may be spoken alike.
            for number, (chunk, text) in enumerate(found, start=1 + _SENTENCES * place)
        ]
        for place, candidate in enumerate(candidates)
    ]
    titles = [f"{word}, {candidate.name}" for candidate in candidates]
    recorded = record_readings(plan, paths, titles, readings, machine, check_tags, stop, loaders)
    return [
        Sample(path, chunks[0].seed, seconds, tuple(problem for _, problem in problems))
        for path, chunks, (seconds, problems) in zip(paths, readings, recorded, strict=True)
    ]


def _said(text: str, voice: str, candidate: _Candidate, plan: Plan) -> str:
    """A sentence as the book says it, with the candidate's way to say the word."""
    return said(text, sayings(voice, plan.book, plan.text_rules, candidate.lexicon))


def _check(plan: Plan, word: str, respellings: Sequence[str], voice: str | None) -> None:
    """Raise a UsageError if the command line cannot be followed."""
    voices = plan.book.voices
    if voice is not None and voice not in voices:
        raise UsageError(f"--voice {quoted(voice)}: {suggestion(voice, voices, 'the voices of the book')}")
    mistakes = [("--word", word_mistake(word.strip()))]
    mistakes += [("--respelling", respelling_mistake(respelling.strip())) for respelling in respellings]
    for flag, mistake in mistakes:
        if mistake is not None:
            raise UsageError(f"{flag}: {mistake[0]}")


def _sentences(plan: Plan, word: str, voice: str | None) -> Iterator[tuple[Chunk, str]]:
    """The first sentences with the word, each with its chunk, which has the voice that is to speak."""
    only = Lexicon([Entry(word, word)])
    seen: set[str] = set()
    for chunk in as_written(plan).chunks():
        if next(only.find(chunk.text, chunk.voice), None) is None:
            continue
        for sentence in sentences(chunk.text, plan.book.language):
            if sentence.strip() not in seen and next(only.find(sentence, chunk.voice), None) is not None:
                seen.add(sentence.strip())
                yield replace(chunk, voice=voice or chunk.voice), sentence.strip()
                if len(seen) == _SENTENCES:
                    return


def _candidates(plan: Plan, word: str, respellings: Sequence[str], voice: str) -> list[_Candidate]:
    """The book's own way, and one for each respelling, under different names."""
    own = plan.lexicon.entry(word, voice)
    only = Lexicon([Entry(word, word)])
    others = [entry for entry in plan.lexicon.entries if only.entry(entry.word, voice) is None]
    ways = [("as-written" if own is None else own.respelling, plan.lexicon)]
    ways += [
        (respelling, Lexicon([Entry(word, respelling), *others]))
        for respelling in dict.fromkeys(respelling.strip() for respelling in respellings)
        if own is None or respelling != own.respelling
    ]
    names: list[str] = []
    for number, (respelling, _) in enumerate(ways, start=1):
        name = file_stem(respelling) or "respelling"
        names.append(f"{name}-{number}" if name in names else name)
    return [_Candidate(name, lexicon) for name, (_, lexicon) in zip(names, ways, strict=True)]
