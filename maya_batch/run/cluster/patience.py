"""How long workers may take, and how often they are replaced."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds, and a number of workers."""

    frame: float = 300.0
    """From one frame to the next. On a GPU the first frame compiles for a minute; a large GGUF model on a few CPU cores
    takes as long for the prompts of a batch."""
    room: float = 180.0
    """Until a new worker finds room, while there is no other one."""
    loading: float = 1800.0
    """Until an engine is loaded: 6.2 GiB over a slow network take minutes."""
    replacements: int = 3
    """For all workers together: this number, and as many as there are workers."""
