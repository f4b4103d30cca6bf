"""maya-batch: a book becomes an audiobook overnight with the Maya1 text-to-speech model."""
