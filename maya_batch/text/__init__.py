"""From a chapter's source text to the pieces that are spoken, without losing a character."""
