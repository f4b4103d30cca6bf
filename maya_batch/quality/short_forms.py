"""The long forms of English short forms: "don't" is "do not", "gimme" is "give me"."""

#: By the short form without its apostrophes.
_SHORT = {
    "etc": ("et cetera",),
    "cant": ("can not", "cannot"),
    "wont": ("will not",),
    "shant": ("shall not",),
    "aint": ("is not", "am not", "are not", "has not", "have not"),
    "cannot": ("can not",),
    "lets": ("let us",),
    "im": ("i am",),
    "gonna": ("going to",),
    "wanna": ("want to", "want a"),
    "gotta": ("got to", "got a"),
    "oughta": ("ought to",),
    "hafta": ("have to",),
    "gimme": ("give me",),
    "lemme": ("let me",),
    "dunno": ("dont know", "do not know"),
    "kinda": ("kind of",),
    "sorta": ("sort of",),
    "outta": ("out of",),
    "lotta": ("lot of",),
    "coulda": ("could have",),
    "shoulda": ("should have",),
    "woulda": ("would have",),
    "gotcha": ("got you",),
    "whatcha": ("what are you", "what do you"),
    "em": ("them",),
    "cause": ("because",),
    "cos": ("because",),
    "coz": ("because",),
    "cuz": ("because",),
    "bout": ("about",),
    "round": ("around",),
    "til": ("until",),
    "ol": ("old",),
    "ole": ("old",),
    "yall": ("you all",),
    "twas": ("it was",),
    "tis": ("it is",),
    "twere": ("it were",),
    "twill": ("it will",),
    "twould": ("it would",),
    "maam": ("madam",),
    "oer": ("over",),
    "neer": ("never",),
    "eer": ("ever",),
    "am": ("a m",),
    "pm": ("p m",),
    "ya": ("you",),
    "yer": ("your", "you are"),
}

_TAILS = {
    "s": ("is", "has", "us"),
    "re": ("are",),
    "ve": ("have",),
    "ll": ("will", "shall"),
    "d": ("would", "had", "did"),
    "m": ("am",),
}


def long_forms(word: str) -> list[str]:
    """The long forms of a lower-case word with its apostrophes ('), each as words with spaces between them."""
    bare = word.replace("'", "")
    forms = list(_SHORT.get(bare, ()))
    head, apostrophe, tail = word.rpartition("'")
    if not apostrophe:
        return forms
    if tail == "t" and head.endswith("n"):
        forms.append(f"{head[:-1]} not")
    return [*forms, *(f"{head} {said}" for said in _TAILS.get(tail, ()) if head)]
