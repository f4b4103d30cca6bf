"""Mends typography with each change on record: ligatures, full-width and styled letters, characters without a sound."""

import re
import unicodedata

from maya_batch.text.divided_words import join_divided_words
from maya_batch.text.entities import decode_entities
from maya_batch.text.language import base_language
from maya_batch.text.passage import Passage, Replacement, TextProblem
from maya_batch.text.rewriting import Rewriter
from maya_batch.text.spoken_signs import WORDS_FOR, words_for
from maya_batch.text.typography import INVISIBLE, is_composed

# Also the fillers, selectors of variants and tags of Unicode, and the place of an object.
_WITHOUT_SOUND = re.compile(
    rf"\xad++|(?:{INVISIBLE.pattern}|[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U000e0000-\U000e0fff])+"
)
_FORMS = re.compile(
    "(?P<ligature>[\u0132\u0133\ufb00-\ufb06\ufb13-\ufb17]+)"
    "|(?P<long_s>\u017f+)"
    "|(?P<fullwidth_form>[\uff01-\uff5e\uffe0-\uffe6]+)"
    "|(?P<halfwidth_form>[\uff65-\uff9f]+)"
    "|(?P<styled_letter>[\U0001d400-\U0001d7ff\u210a-\u2113\u2115\u2118-\u211d\u2124\u2128\u212c\u212d\u212f-\u2134"
    "\u2139]+)"
    "|(?P<enclosed_form>[\u2460-\u24e9\U0001f130-\U0001f149]+)"
    "|(?P<Roman_numeral>[\u2160-\u217f]+)"
    "|(?P<unit_in_a_square>[\u3371-\u33df\u33ff])"
    "|(?P<presentation_form>[\ufb1d-\ufb4f\ufb50-\ufbb1\ufbd3-\ufd3d\ufd50-\ufd8f\ufd92-\ufdc7\ufdf0-\ufdfb"
    "\ufe70-\ufefc]+)"
    "|(?P<raised_letter>(?<=[0-9A-Za-z])[\u02b0-\u02b8\u02e1-\u02e3\u1d2c-\u1d61\u2071\u207f]+)"
)
_WIDE_LANGUAGES = frozenset({"zh", "ja", "ko", "yue"})
"""Their full-width punctuation is the usual one and stays."""
_ANY_FORM = re.compile("[^\x00-\u0131]")


def mendings(source: str, language: str) -> list[Rewriter]:
    """The rules that mend the typography of a chapter with this source, in their order.

    Entities come first, since they may stand for any character; then divided words, since a soft hyphen at a line's
    end joins.
    """
    return [decode_entities(source), join_divided_words(source), _form_mender(source, language), _compose]


def _form_mender(source: str, language: str) -> Rewriter:
    is_wide = base_language(language) in _WIDE_LANGUAGES
    # Most passages have none of these characters; a look at each character that occurs tells. Entities may add some.
    mended = None if "&" in source else frozenset(filter(_is_mended, set(source)))

    def mend(passage: Passage) -> tuple[list[Replacement], list[TextProblem]]:
        text = passage.text
        if text.isascii() or (mended is not None and (not mended or mended.isdisjoint(text))):
            return [], []
        found = [
            Replacement(
                match.start(), match.end(), "", "soft hyphen" if match[0][0] == "\xad" else "invisible character"
            )
            for match in _WITHOUT_SOUND.finditer(text)
        ]
        if _ANY_FORM.search(text):
            for match in _FORMS.finditer(text):
                found += _plain_forms(match, is_wide)
        return sorted(found, key=lambda replacement: replacement.start), []

    return mend


def _is_mended(character: str) -> bool:
    return _WITHOUT_SOUND.match(character) is not None or _FORMS.match(f"a{character}", 1) is not None


def _plain_forms(match: re.Match[str], is_wide: bool) -> list[Replacement]:
    """A run of forms as ordinary characters; in `is_wide` languages only letters and digits."""
    rule = str(match.lastgroup).replace("_", " ").replace("fullwidth", "full-width").replace("halfwidth", "half-width")
    plain = unicodedata.normalize("NFKC", match[0])
    if rule == "enclosed form" and any(map(str.isdigit, plain)):
        plain = " ".join(unicodedata.normalize("NFKC", character) for character in match[0])  # "①②" is not 12
    if rule != "full-width form" or (plain.isalnum() and plain.isascii()):
        return [Replacement(match.start(), match.end(), plain, rule)]
    text, found = match.string, []
    for at, character in enumerate(match[0], start=match.start()):
        plain = unicodedata.normalize("NFKC", character)
        if is_wide and not plain.isalnum():
            continue
        if plain in WORDS_FOR:
            lead, words = words_for(plain, text[at - 1 : at] or " ", text[at + 1 : at + 2] or " ")
            plain = lead + words
        found.append(Replacement(at, at + 1, plain, rule))
    return found


def _compose(passage: Passage) -> tuple[list[Replacement], list[TextProblem]]:
    """Compose letters and their accents (NFC)."""
    text = passage.text
    if is_composed(text):
        return [], []
    found: list[Replacement] = []
    start = 0
    for at in range(1, len(text) + 1):
        if at < len(text) and (unicodedata.combining(text[at]) or "\u1161" <= text[at] <= "\u11ff"):
            continue
        cluster = text[start:at]
        # NFC would merge a combining stroke after a tag with the tag's `>`.
        if cluster[0] not in "<>" and not unicodedata.is_normalized("NFC", cluster):
            found.append(Replacement(start, at, unicodedata.normalize("NFC", cluster), "composed letter"))
        start = at
    return found, []
