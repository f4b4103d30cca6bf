import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import WaveformCache, WaveformMemory, noise_seed
from maya_batch.book.take_store import Take
from maya_batch.checkpoint.token_layout import Codes


class CountingCodec:
    def __init__(self) -> None:
        self.decoded: list[int] = []

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        self.decoded.append(seed)
        return np.full(len(codes) * 100, seed % 7, dtype=np.float32)


def take_of(number: int, frames: int = 10) -> Take:
    return Take(f"key{number}", 1, np.zeros((frames, 7), np.uint16), 1, "eos", (), "fake")


def test_a_prepared_take_is_decoded_once_and_given_away_once() -> None:
    codec = CountingCodec()
    waveforms = WaveformCache(lambda: codec)
    waveforms.prepare(take_of(1))
    first = waveforms.pop(take_of(1))
    assert codec.decoded == [noise_seed("key1", 1)]
    assert np.array_equal(first, waveforms.pop(take_of(1)))
    assert len(codec.decoded) == 2


def test_what_was_not_prepared_is_decoded_when_it_is_needed() -> None:
    codec = CountingCodec()
    assert len(WaveformCache(lambda: codec).pop(take_of(3))) == 1000
    assert codec.decoded == [noise_seed("key3", 1)]


def test_no_more_is_kept_than_memory_is_meant_for() -> None:
    codec, memory = CountingCodec(), WaveformMemory()
    memory.most = 5 * 1000 * 4
    waveforms = WaveformCache(lambda: codec, memory)
    for number in range(20):
        waveforms.prepare(take_of(number))
    assert len(codec.decoded) == 20
    for number in range(20):
        waveforms.pop(take_of(number))
    assert len(codec.decoded) == 35  # the first five were kept
    waveforms.prepare(take_of(20))
    waveforms.pop(take_of(20))
    assert len(codec.decoded) == 36


def test_a_take_that_is_dropped_leaves_room_for_another() -> None:
    codec, memory = CountingCodec(), WaveformMemory()
    memory.most = 1
    waveforms = WaveformCache(lambda: codec, memory)
    waveforms.prepare(take_of(1))
    waveforms.drop(take_of(1))
    waveforms.drop(take_of(2))
    waveforms.prepare(take_of(2))
    waveforms.pop(take_of(2))
    assert len(codec.decoded) == 2


def test_more_can_be_allowed_and_never_less() -> None:
    memory = WaveformMemory()
    waveforms, usual = WaveformCache(CountingCodec, memory), memory.most
    waveforms.allow(usual + 1)
    waveforms.allow(usual)
    assert memory.most == usual + 1


def test_all_takes_of_a_chunk_can_be_dropped() -> None:
    codec = CountingCodec()
    waveforms = WaveformCache(lambda: codec)
    for number in (1, 2, 3):
        waveforms.prepare(take_of(number))
    waveforms.drop_keys({"key1", "key3", "key9"})
    waveforms.pop(take_of(2))
    assert len(codec.decoded) == 3
    waveforms.pop(take_of(1))
    assert len(codec.decoded) == 4


def test_attempts_of_a_chunk_sound_with_noise_of_their_own() -> None:
    assert noise_seed("key1", 1) != noise_seed("key1", 2)


def test_books_share_the_memory_and_a_closed_book_gives_back_its_part() -> None:
    memory = WaveformMemory()
    first, second = (WaveformCache(CountingCodec, memory) for _ in range(2))
    first.prepare(take_of(3))
    second.prepare(take_of(4))
    both = memory.bytes
    first.clear()
    assert 0 < memory.bytes < both
    second.clear()
    assert memory.bytes == 0
