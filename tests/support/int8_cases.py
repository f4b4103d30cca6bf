"""Random keys and values in 8 bits, in a paged cache, and what plain attention makes of them."""

from dataclasses import dataclass

import torch

from maya_batch.engine.kernels.int8_numbers import dequantized, quantized
from maya_batch.engine.kernels.torch_attention import attend_cached, split_heads
from maya_batch.engine.paged_cache import BLOCK_SIZE


@dataclass
class Int8Case:
    """The newest tokens of some sequences, at random positions, and a cache as `attend_int8` takes it."""

    qkv: torch.Tensor
    pool: torch.Tensor
    scales: torch.Tensor
    block_table: torch.Tensor
    position: torch.Tensor
    order: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor
    before: tuple[torch.Tensor, torch.Tensor]
    """Pool and scales as they were drawn."""

    @classmethod
    def drawn(
        cls,
        sequences: int,
        blocks: int,
        heads: int,
        kv_heads: int,
        dim: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> "Int8Case":
        length, all_blocks = blocks * BLOCK_SIZE, sequences * blocks
        whole, scales = quantized(torch.randn(2, all_blocks + 1, kv_heads, BLOCK_SIZE, dim, device=device))
        whole[1] = whole[1].transpose(2, 3).contiguous().view(whole[1].shape)
        position = torch.randint(0, length, (sequences,), device=device)
        position[:5] = torch.tensor([0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, length - 1])
        angle = torch.rand(length, dim // 2, device=device).repeat(1, 2) * 6
        return cls(
            torch.randn(sequences, (heads + 2 * kv_heads) * dim, device=device, dtype=dtype),
            whole,
            scales,
            (torch.randperm(all_blocks, device=device) + 1).view(sequences, blocks).int(),
            position,
            torch.randperm(sequences, device=device),
            angle.cos().to(dtype),
            angle.sin().to(dtype),
            (whole.clone(), scales.clone()),
        )

    def attend(self, parts: int | None = None) -> torch.Tensor:
        """The kernel's attention."""
        from maya_batch.engine.kernels.int8_attention import attend_int8

        return attend_int8(
            self.qkv,
            self.pool,
            self.scales,
            self.block_table,
            self.position,
            self.order,
            self.cos,
            self.sin,
            parts,
        ).float()

    def plain_attention(self) -> torch.Tensor:
        """Attention in float32 to the unpacked cache with the newest key and value: [sequences, heads * dim]."""
        queries, *newest = self._newest()
        sequence = torch.arange(len(self.qkv), device=self.qkv.device)
        unpacked = dequantized(self._by_position(self.before[0]), self.before[1], torch.float32)
        context = []
        for kind, vectors in zip(unpacked, newest, strict=True):
            of_sequence = kind[self.block_table.long()].transpose(1, 2).flatten(2, 3).clone()
            of_sequence[sequence, :, self.position] = dequantized(*quantized(vectors), torch.float32)
            context.append(of_sequence)
        masked = torch.arange(context[0].shape[2], device=self.qkv.device) > self.position.unsqueeze(1)
        return attend_cached(queries.float(), context[0], context[1], masked)

    def worst_difference_of_the_newest(self) -> int:
        """Between what was stored of the newest keys and values and what they are.

        The kernel rotates keys in float32 and rounds once, PyTorch rounds each product: so scales may differ, too.
        """
        precision = torch.finfo(self.qkv.dtype).eps
        places = self._places()
        worst = 0
        for kind, vectors in enumerate(self._newest()[1:]):
            whole, scales = quantized(vectors)
            stored = self._by_position(self.pool)[kind].transpose(1, 2)[places]
            worst = max(worst, int((stored.int() - whole.int()).abs().max()))
            torch.testing.assert_close(self.scales[kind].transpose(1, 2)[places], scales, rtol=2 * precision, atol=1e-6)
        return worst

    def others_are_untouched(self) -> bool:
        """Whether all other positions are as they were."""
        pool, scales = self._by_position(self.pool).clone(), self.scales.clone()
        places = self._places()
        for kind in (0, 1):
            pool[kind].transpose(1, 2)[places] = self._by_position(self.before[0])[kind].transpose(1, 2)[places]
            scales[kind].transpose(1, 2)[places] = self.before[1][kind].transpose(1, 2)[places]
        return torch.equal(pool, self._by_position(self.before[0])) and torch.equal(scales, self.before[1])

    def leave_rubbish_behind(self) -> None:
        """Fill the positions behind each sequence with the largest numbers and scales that are no numbers."""
        pool = self._by_position(self.pool).clone()
        for blocks, position in zip(self.block_table.long(), self.position.tolist(), strict=True):
            behind = torch.arange(len(blocks) * BLOCK_SIZE, device=self.qkv.device) > position
            for kind in (0, 1):
                for number, block in enumerate(blocks):
                    of_block = behind[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE]
                    pool[kind, block][:, of_block] = 127
                    self.scales[kind, block][:, of_block] = torch.nan
        pool[1] = pool[1].transpose(2, 3).contiguous().view(pool[1].shape)
        self.pool.copy_(pool)

    def _newest(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        kv_heads, dim = self.pool.shape[2], self.pool.shape[4]
        return split_heads(self.qkv, kv_heads, dim, self.cos[self.position], self.sin[self.position])

    def _places(self) -> tuple[torch.Tensor, torch.Tensor]:
        sequence = torch.arange(len(self.qkv), device=self.qkv.device)
        return self.block_table[sequence, self.position // BLOCK_SIZE].long(), self.position % BLOCK_SIZE

    def _by_position(self, pool: torch.Tensor) -> torch.Tensor:
        """Keys and values [2, blocks, kv heads, block size, dim]."""
        values = pool[1].view(*pool.shape[1:3], pool.shape[4], pool.shape[3]).transpose(2, 3)
        return torch.stack([pool[0], values])
