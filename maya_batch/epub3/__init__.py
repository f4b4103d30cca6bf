"""EPUBs that speak (EPUB 3 with media overlays): of a book itself, or of the EPUB that it was imported from."""
