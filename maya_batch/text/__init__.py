"""Turns a chapter's source text into the pieces that are spoken, without losing a character."""
