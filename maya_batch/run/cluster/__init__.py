"""Several GPUs and machines: Ray actors generate, each with its own engine; this process stores, checks and writes."""
