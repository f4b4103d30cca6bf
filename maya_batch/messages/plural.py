"""A number and its noun, in agreement."""


def plural(number: int, noun: str) -> str:
    """`1 chunk`, `2 chunks`: nouns whose plural takes an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
