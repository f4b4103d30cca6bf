"""English abbreviations that end in a full stop: how they are said, and what they belong to.

Both the cuts (which tear none from what follows) and the readings use this table.
"""

from dataclasses import dataclass
from typing import Literal

Follows = Literal["name", "number", "any", "ends"]


@dataclass(frozen=True)
class Abbreviation:
    """An abbreviation."""

    readings: tuple[str, ...]
    """How it is said, the most likely first, in lower case; empty if it is said as it is written."""
    follows: Follows = "name"
    """What it is never cut from: a `name` or a `number` after it, `any` word, or nothing, if it `ends` its phrase."""


def _same(follows: Follows, **readings: str) -> dict[str, Abbreviation]:
    return {short: Abbreviation(tuple(said.split("|")), follows) for short, said in readings.items()}


ABBREVIATIONS: dict[str, Abbreviation] = {
    **_same(
        "name",
        mr="mister",
        mrs="missus|misses",
        ms="miss|miz|ms",
        messrs="messieurs|messers",
        mme="madame",
        mlle="mademoiselle",
        dr="doctor|drive",
        prof="professor",
        rev="reverend",
        hon="honorable|honourable",
        pres="president",
        gov="governor",
        sen="senator",
        rep="representative",
        amb="ambassador",
        sec="secretary|section",
        supt="superintendent",
        insp="inspector",
        det="detective",
        gen="general",
        col="colonel",
        maj="major",
        capt="captain",
        cpt="captain",
        lt="lieutenant",
        lieut="lieutenant",
        sgt="sergeant",
        sergt="sergeant",
        cpl="corporal",
        pvt="private",
        adm="admiral",
        cdr="commander",
        cmdr="commander",
        brig="brigadier",
        bro="brother",
        fr="father",
        br="brother",
        st="saint|street",
        ste="sainte|saint",
        mt="mount",
        ft="fort|feet|foot",
        wm="william",
        geo="george",
        chas="charles",
        thos="thomas",
        jas="james",
        jos="joseph",
        robt="robert",
        edw="edward",
        benj="benjamin",
        alex="alexander",
        saml="samuel",
        richd="richard",
    ),
    **_same(
        "number",
        no="number",
        nos="numbers",
        vol="volume",
        vols="volumes",
        ch="chapter",
        chap="chapter",
        chaps="chapters",
        p="page",
        pp="pages",
        pg="page",
        fig="figure",
        figs="figures",
        art="article",
        sect="section",
        par="paragraph",
        bk="book",
        pt="part|point",
        ed="edition|editor|edited",
        approx="approximately",
        ca="circa|about",
        c="circa|about",
        op="opus",
        lib="book",
        ver="version",
        ll="lines",
        v="verse|versus",
        vv="verses",
    ),
    **_same(
        "any",
        vs="versus",
        eg="for example|e g",
        ie="that is|i e",
        viz="namely|viz",
        cf="compare|c f",
        al="al",
    ),
    **_same(
        "ends",
        etc="et cetera",
        jr="junior",
        sr="senior",
        esq="esquire",
        bros="brothers",
        co="company",
        corp="corporation",
        inc="incorporated",
        ltd="limited",
        dept="department",
        ave="avenue",
        blvd="boulevard",
        rd="road",
        jan="january",
        feb="february",
        mar="march",
        apr="april",
        jun="june",
        jul="july",
        aug="august",
        sept="september",
        sep="september",
        oct="october",
        nov="november",
        dec="december",
        mon="monday",
        tue="tuesday",
        tues="tuesday",
        wed="wednesday",
        thu="thursday",
        thurs="thursday",
        fri="friday",
        sat="saturday",
        sun="sunday",
        ibid="ibidem|ibid",
        phd="p h d",
        md="m d",
        ba="b a",
        ma="m a",
    ),
}
"""By the abbreviation in lower case, without full stops. Words like "no", "art" or "sun" are abbreviations only where a
full stop and what they belong to follow."""
