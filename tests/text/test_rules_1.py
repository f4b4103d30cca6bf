"""Texts of books that were begun with text rules 1: they are parsed, and given to the model, as version 0.1 did."""

import hashlib
import json
import random
from pathlib import Path

import pytest

from maya_batch.text.parser import parse_script
from maya_batch.text.typography import speakable

#: Written by this module (`python -m tests.text.test_rules_1`) before there were rules 2.
GOLDEN = Path(__file__).parents[1] / "data" / "text_rules_1.json"
VOICES, TAGS = ("anna", "narrator"), ("laugh", "sigh")
# fmt: off
# ruff: noqa: E501
SOURCES = [
    "He was _very_ tired, and **she** was not.¹ The king† was old.\n\n# Chapter One\n\nName | Age\n-----|----\nAnna | 31",
    "The pre\u00ad\nrequisites were gen\u00ad\nerally good. It was a one\u2011\nsided fight, self-\nevident to all.",
    "“Well,” he said&mdash;and he paid for the fish &amp; chips&nbsp;himself. It was John&#39;s. &lt;laugh&gt;",
    "First part ends here.\n\n❦\n\nSecond.\n\n===\n\nThird.\n\n+ + +\n\nFourth.\n\n…\n\nFifth.\n\n?!\n\n“…”",
    "The ﬁrst oﬃce had a ﬂat ﬂoor in １９９９, and 𝐛𝐨𝐥𝐝 signs.\n\nE\u0301tude, zero\u200bwidth.",
    "One. [pause 2s] Two.\n\n[pause 3s]\n\nThree.[12] Four.",
    "Tyger Tyger, burning bright\nIn the forests of the night\nWhat immortal hand or eye\n\n- one\n- two\n\n1. one\n2. two",
    "A\n***\nB\n\n> quoted\n> text\n\n`code` and f**k and 2*3*4 and snake_case and 5 * 3\n\n\\* \\_ \\& \\[x\\] \\<",
    "[anna] “...” [narrator] Two. <laugh> <lagh> [sic] a < b\n\n* * *\n\n---\n\n. . .\n\n[anna]",
    " \n\n\t One\ntwo.\u2028 \n \n\n~\n\nThree.\u0085Four\u00a0five",
]
FRAGMENTS = [
    "word", "Mr. Smith", "“No.”", "...", "…", "?!", "e\u0301", "naïve", r"\[", r"\]", r"\<", r"\>", r"\\", "\\", "\\*",
    "[anna]", "[narrator]", "[sic]", "[12]", "[pause 2s]", "[", "]", "<", ">", "<laugh>", "</sigh>", "<lagh>", "<|eot|>",
    "*", "**", "_", "__", "`", "#", "# ", "> ", "|", "¹", "†", "•", "- ", "1. ", "&mdash;", "&amp;", "&foo;", "\u00ad",
    "\u200b", "-\n", "\u00ad\n", "ﬁ", "１", "𝐛", "+ + +", "===", "❦", " ", " ", " ", " ", "\n", "\n\n", "\n \n", "\t",
    "\u00a0", "\u2028", "\n\n* * *\n\n", "---", "\n\n",
]
# fmt: on


def described(source: str) -> list[object]:
    """What rules 1 make of a source, as JSON has it."""
    passages, problems = parse_script(source, VOICES, TAGS, 1)
    return [
        [
            [
                *(
                    passage.paragraph,
                    passage.voice,
                    passage.start,
                    passage.end,
                    passage.text,
                    passage.scene_breaks_after,
                ),
                [passage.source_offset(at) for at in range(0, len(passage.text) + 1, 3)],
                speakable(passage.text),
            ]
            for passage in passages
        ],
        [[problem.offset, problem.what, problem.mend, problem.tag] for problem in problems],
    ]


def digest_of_random_sources() -> str:
    draw = random.Random(19)
    digest = hashlib.sha256()
    for _ in range(3000):
        source = "".join(draw.choices(FRAGMENTS, k=draw.randint(1, 30)))
        digest.update(json.dumps(described(source)).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("number", range(len(SOURCES)))
def test_a_text_is_parsed_and_given_to_the_model_as_before(number: int) -> None:
    golden = json.loads(GOLDEN.read_text())["sources"][number]
    assert golden == [SOURCES[number], described(SOURCES[number])]


def test_thousands_of_random_texts_are_parsed_as_before() -> None:
    assert digest_of_random_sources() == json.loads(GOLDEN.read_text())["random"]


if __name__ == "__main__":
    golden = {"sources": [[source, described(source)] for source in SOURCES], "random": digest_of_random_sources()}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
