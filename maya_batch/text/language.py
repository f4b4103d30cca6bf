"""Language codes."""

_BRITISH = frozenset({"gb", "uk", "ie", "au", "nz", "za", "in"})


def base_language(code: str) -> str:
    """The language of a code without its region, in lower case: "en" of "en-GB" or "en_GB"."""
    return code.replace("_", "-").partition("-")[0].lower()


def is_british(code: str) -> bool:
    """Whether an English code names a country with British usage: "and" in numbers, the day before the month."""
    return not _BRITISH.isdisjoint(code.lower().replace("_", "-").split("-")[1:])
