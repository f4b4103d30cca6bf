"""Plans a book, and knows which parts of it are on disk."""
