"""The version of the rules by which texts are parsed, changed and cut."""

TEXT_RULES = 2
"""The newest rules. A book keeps the rules that it was begun with, so that its takes stay valid: rules 1 are those of
version 0.1 and 0.2, which give the model the text as it is written."""
