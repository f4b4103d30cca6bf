"""Finds and checks models and codecs on this disk without loading them."""
