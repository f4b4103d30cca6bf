"""Models and codecs on this disk, looked at without loading them."""
