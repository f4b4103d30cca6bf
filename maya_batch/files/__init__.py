"""Reads files within limits, and writes them whole or not at all."""
