"""What a command is given besides its command line."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maya_batch.interrupt import Stop

if TYPE_CHECKING:
    from maya_batch.run.loading import Loaders


@dataclass(frozen=True)
class Session:
    """The object of Typer's context."""

    stop: Stop = field(default_factory=Stop)
    """Tells when a signal has come."""
    loaders: "Loaders | None" = None
    """Where engine, codec and transcriber come from; None: the real ones."""
