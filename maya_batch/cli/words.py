"""The command that lists the words of a book that a lexicon may need."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from maya_batch.book.word_list import listed_words
from maya_batch.cli.options import Book, BookFlags, Json, Output, takes_flags
from maya_batch.messages.plural import plural
from maya_batch.messages.printable import printable

#: The widest column of words, in characters.
_WIDEST = 24


@takes_flags("book_flags", BookFlags, "model", "allow_unknown_tags")
def words(
    book: Book,
    book_flags: BookFlags,
    output: Output = None,
    most: Annotated[int, typer.Option("-n", min=1, help="Maximum number of words.")] = 50,
    as_json: Json = False,
) -> None:
    """List names and words with unusual letters, the most frequent first, to find what a lexicon needs.

    Each has its count, the first chunk with it, and an example. It needs no model. `name` is a word with a capital
    inside sentences, `capitals` one that is always in capitals, `letters` one with letters that are unusual in English.
    """
    found = listed_words(book_flags.plan(book, output))
    shown = found[:most]
    if as_json:
        print(json.dumps({"words": [asdict(word) for word in shown], "total": len(found)}, indent=2))
        return
    width = min(_WIDEST, max((len(word.word) for word in shown), default=0))
    for word in shown:
        known = "" if word.respelling is None else f"  (in the lexicon: {word.respelling})"
        print(printable(f"{word.count:6}  {word.word:{width}}  {word.kind:8}  {word.ref:>6}  {word.sentence}{known}"))
    if len(found) > len(shown):
        print(f"{plural(len(found) - len(shown), 'more word')}; -n sets how many are shown")
    elif not found:
        print("no names, and no words with unusual letters")
