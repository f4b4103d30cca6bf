"""The sound of stored takes for pages: encoded once, then kept next to the take."""

from maya_batch.audio.waveform_cache import WaveformCache, audible
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.report.audio_clip import make_clip


def take_clip(state: BookState, take: Take, waveforms: WaveformCache | None) -> bytes | None:
    """The MP3 of a take: the stored one, or one that is made and stored if the codec is loaded; None without either.

    A take of one frame may have no sound: that is what is dropped of each clip's start.

    Raises:
        MachineError: it cannot be written, or ffmpeg is missing or failed.
    """
    mp3, layout = state.store.clip(take), state.plan.layout
    if mp3 is None and layout.samples(len(take.codes)) and waveforms is not None and waveforms.loaded:
        mp3 = make_clip(audible(waveforms.prepare(take)), layout.sampling_rate)
        state.store.put_clip(take, mp3)
        waveforms.drop(take)
    return mp3
