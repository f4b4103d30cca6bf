"""Turns a manuscript (EPUB, DOCX, Markdown, HTML, plain text) into a book folder that is ready to render."""
