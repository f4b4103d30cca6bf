"""A book as it is planned, and what of it is on disk."""
