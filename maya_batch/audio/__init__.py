"""The codec, and what follows it: clips are joined into chapters, which are written as audio files."""
