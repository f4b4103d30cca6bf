"""How fast cards should render that could not be had: arithmetic with what was measured on an H200, and the scheduler.

    python -m tests.measure.cards

A step reads the weights and the keys and values, multiplies, and does the rest. Of an H200 (LOG.md, 2026-11-29), which
copies 3.75 TB/s and multiplies 989 TFLOP/s in bfloat16: weights are read at 0.77 of the copy's speed, products of full
batches reach 0.68 of the arithmetic, and of both times a product takes the longer one and 0.2 of the shorter one;
attention reads at 0.84; norms, gate and drawing take 0.45 ms, and the codec and prompts 6 ms a second of speech, which
grow as the bandwidth falls. Cards copy at 0.9 of the bandwidth in their data sheets (the H200 at 0.78 to 0.9).

With nf4, multiprocessors unpack as fast as those of an H200 at the same clock (LOG.md, 2026-12-01). Then they multiply
on their tensor cores, 1,024 pairs of int8 numbers a cycle, as if neither hid behind the other.
"""

from dataclasses import dataclass, replace

from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.bench.workload import TOKENS_A_SECOND
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.batch_budget import graph_batch_size
from maya_batch.run.generate import generation_order, sequence_seed
from tests.measure.batch_orders import PROMPT, run, texts

GIGA = 10**9

#: Weights of the projections of Maya1's 28 layers, and of its embedding; bytes of a position's keys and values.
PROJECTIONS, EMBEDDING, POSITION = 28 * 100.7e6, 157e3 * 3072, 28 * 2 * 8 * 130

#: Bytes for a weight. nf4 has a float32 for each 64.
BYTES = {"none": 2.0, "fp8": 1.0, "nf4": 0.5 + 4 / 64}

#: GB that neither weights nor keys and values take: CUDA, graphs, the codec, prompts, and what is kept free.
OTHER = 1.7

#: Weights that a multiprocessor unpacks and multiplies in a nanosecond, by the number of sequences, and its clock, GHz.
#: For more sequences, bitsandbytes writes weights in 16 bits first.
UNPACKED, CLOCK = {16: 32.6, 32: 26.6, 48: 22.9, 64: 15.9, 96: 12.5, 128: 9.0}, 1.98


@dataclass(frozen=True)
class Card:
    """A card by its data sheet, and a way to render on it."""

    name: str
    memory: float
    """GB."""
    bandwidth: float
    """GB/s."""
    teraflops: float
    """Dense, in bfloat16 with sums in float32; twice as many in FP8."""
    quantization: str
    hours: float
    batch_size: int = 512
    processors: int = 0
    """Multiprocessors, for nf4."""
    gigahertz: float = 0.0
    """Their clock, for nf4."""
    context: float = 0.0
    """The mean positions of a running sequence, which the texts decide."""

    @property
    def positions(self) -> int:
        """The positions of the KV cache."""
        weights = PROJECTIONS * BYTES[self.quantization] + EMBEDDING * 2
        return int((self.memory * GIGA - weights - OTHER * GIGA) / POSITION)

    def milliseconds(self, sequences: int) -> float:
        """Of a step."""
        copies = 0.9 * self.bandwidth * GIGA / 1e3
        read = PROJECTIONS * BYTES[self.quantization] / (0.77 * copies)
        multiply = self._multiplying(graph_batch_size(sequences))
        if self.quantization == "nf4" and sequences > max(UNPACKED):
            read += 2 * PROJECTIONS * 2 / copies
        product = max(read, multiply) + 0.2 * min(read, multiply)
        attention = sequences * POSITION * self.context / (0.84 * copies)
        return product + attention + 0.45 * max(3750e9 / 1e3 / copies, 1)

    def _multiplying(self, sequences: int) -> float:
        """Milliseconds of a step's products, if the memory were no limit."""
        if self.quantization == "nf4" and sequences <= max(UNPACKED):
            rate = next(rate for most, rate in UNPACKED.items() if sequences <= most) / CLOCK
            return PROJECTIONS * (1 / rate + sequences / 1024) / (self.processors * self.gigahertz * 1e6)
        speed = self.teraflops * 1e9 * (2 if self.quantization == "fp8" else 1)
        return 2 * PROJECTIONS * sequences / (0.68 * speed)

    def beside(self, seconds: float) -> float:
        """Seconds for the codec and the prompts of so much speech."""
        return seconds * 0.4e-3 * 3750 / (0.9 * self.bandwidth)


CARDS = (
    Card("H200, to check the method", 141, 4166, 989, "none", 4),
    Card("H200, to check the method", 141, 4166, 989, "fp8", 4),
    Card("H100 80 GB", 80, 3350, 989, "none", 4),
    Card("A100 40 GB", 40, 1555, 312, "none", 4),
    Card("RTX 4090 24 GB", 24, 1008, 165, "none", 4),
    Card("RTX 4090 24 GB", 24, 1008, 165, "fp8", 4),
    Card("RTX 3060 12 GB", 12, 360, 25.5, "none", 2),
    Card("RTX 3060 12 GB", 12, 360, 25.5, "nf4", 2, 512, 28, 1.78),
    Card("RTX 3060 12 GB", 12, 360, 25.5, "nf4", 2, 128, 28, 1.78),
    Card("RTX 3060 12 GB", 12, 360, 25.5, "nf4", 2, 64, 28, 1.78),
    Card("RTX 4060 8 GB", 8, 272, 30.2, "nf4", 2, 128, 24, 2.46),
    Card("RTX 4060 8 GB", 8, 272, 30.2, "nf4", 2, 64, 24, 2.46),
    Card("RTX 4060 8 GB", 8, 272, 30.2, "nf4", 2, 48, 24, 2.46),
    Card("RTX 4060 8 GB", 8, 272, 30.2, "fp8", 2),
)


def main() -> None:
    """Print a line for each card."""
    for each_card in CARDS:
        card, requests = each_card, texts(each_card.hours)
        frames = [drawn_frames(sequence_seed(each.key, 1), each.chunk.text) for each in requests]
        context = PROMPT + SLOTS * sum(n * n for n in frames) / sum(frames) / 2
        card = replace(card, context=context)
        done = run(card, generation_order(requests, card.batch_size))
        speech = SLOTS * sum(frames) / TOKENS_A_SECOND
        seconds = done.milliseconds / 1e3 + card.beside(speech)
        print(
            f"{card.name}, {card.quantization}, at most {card.batch_size}: {speech / seconds:.0f}x real time, "
            f"{done.sequences:.0f} sequences, {card.milliseconds(round(done.sequences)):.1f} ms a step, "
            f"{card.positions:,} positions, {done.preemptions} begun again",
            flush=True,
        )


if __name__ == "__main__":
    main()
