import sys
import unicodedata

import pytest

from maya_batch.messages.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ménage à trois — 你好 👩‍🚀", "Ménage à trois — 你好 👩‍🚀"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x07\x9b31m\x7f", r"\x1b[2J\x07\x9b31m\x7f"),
        ("\u202eevil\u2066\u200f", r"\u202eevil\u2066\u200f"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("caf\udce9.yaml", r"caf\xe9.yaml"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_act_on_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_of_all_of_unicode_nothing_moves_a_cursor_or_turns_text_around() -> None:
    everything = printable("".join(map(chr, range(sys.maxunicode + 1))))
    assert not {c for c in everything if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    turning = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    assert not {c for c in everything if unicodedata.bidirectional(c) in turning}
    assert everything.encode()


def test_a_line_has_an_end() -> None:
    assert len(printable("x" * 10**7)) < 7000
