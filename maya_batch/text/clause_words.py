"""English words that say where a long sentence may be cut: before some, never after others."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLAUSE_STARTS = _words(
    "and but or nor yet who whom whose which that when whenever where wherever while because if unless until till "
    "than though although whereas whether lest since before after what how why"
)
"""Conjunctions and relative words: a reader may pause before them."""

CLAUSE_STARTS_BEFORE_SUBJECTS = _words("for so as")
"""These start a clause only if its subject follows: "for he knew", but "looked for water"."""

SUBJECTS = _words(
    "i he she it we they you there this that these those the a an his her my our their its your if though "
    "everybody everyone nothing everything"
)

PREPOSITIONS = _words(
    "of to in on at by for with from into onto upon over under between among amongst through throughout during "
    "without within against toward towards about above across after along amid around before behind below beneath "
    "beside besides beyond despite down except inside like near off out outside past per round since till until "
    "unto up via"
)

NEVER_LAST = PREPOSITIONS | _words(
    # articles and determiners
    "a an the this that these those my your his her its our their every each some any no such "
    "another other both either "
    "neither many much few several all what whatever which whichever whose "
    # pronouns that start a clause
    "i he she it we they you who there "
    # conjunctions
    "and but or nor so yet if because though although while when where as than unless whether lest not "
    # auxiliaries
    "is are was were be been being am have has had having do does did will would shall should "
    "can could may might must "
    # what belongs to the next word
    "very too more most quite rather less least even just only almost nearly let soon well far"
)
"""A piece that ends in one of these leaves its last word hanging."""

NUMBER_WORDS = _words(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion "
    "half quarter dozen score"
)
AFTER_NUMBERS = NUMBER_WORDS | _words(
    "per percent pounds pound dollars dollar cents cent shillings shilling pence feet foot inches inch yards yard "
    "miles mile years year months month weeks week days day hours hour minutes minute seconds degrees o'clock "
    "o’clock am pm a.m p.m a.d b.c ad bc january february march april may june july august september october "
    "november december"
)
"""What belongs to a number before it."""

COUNTED = _words(
    "chapter chapters book part volume act scene canto section letter page pages number line lines verse verses "
    "psalm article figure table room plate appendix no vol war may"
)
"""What a number after it belongs to, besides names: "chapter 5", "World War II"."""

STARTERS = _words(
    "the he she it they we you i this that these those there then when what who how why where but and in on at "
    "for if my his her their our its not no yes so did do does is are was were have has had can could would will "
    "should now after before as some many all each every both here while though although because since"
)
"""Capitalized, these start a sentence and are no names: "in the U.S. How about you?", but "the U.S. Army"."""
