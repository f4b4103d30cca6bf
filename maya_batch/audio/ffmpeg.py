"""The ffmpeg that imageio-ffmpeg ships."""

from maya_batch.errors import MachineError


def ffmpeg_program() -> str:
    """The path of the program.

    Raises:
        MachineError: there is none.
    """
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MachineError(f"no ffmpeg found: {error}") from error
