"""One run over a book: from loading the model to the report."""
