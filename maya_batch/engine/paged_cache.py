"""The paged KV cache: keys and values are in blocks, which sequences take as they grow and return when they end."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from maya_batch.engine.kernels.int8_numbers import dequantized, quantized

#: Positions of a block on a GPU: one tile of the attention kernel.
BLOCK_SIZE = 64


class PagedCache:
    """A pool of blocks, and the block table with the blocks of each batch slot's sequence, in order.

    Block 0 belongs to no sequence: the results for an empty batch slot go there. With a `block_size` of 0 the cache is
    contiguous: a block holds a whole sequence and batch slot n has block n + 1, so the first n batch slots are one
    slice of the pool.

    With `int8`, keys and values are whole numbers from -127 to 127 with a float16 scale for each position and head, in
    the same block; the values of a block are [head_dim, block size], as the GPU kernel multiplies them.
    """

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        head_dim: int,
        batch_slots: int,
        positions: int,
        block_size: int,
        blocks: int,
        dtype: torch.dtype,
        device: torch.device,
        int8: bool = False,
    ) -> None:
        """`positions` is the most tokens of a sequence; a contiguous cache has one block for each batch slot.

        `dtype` is the model's, which the cache has, too, without `int8`.
        """
        self._dtype = dtype
        self.contiguous = block_size == 0
        self.block_size = block_size or positions
        self.blocks = batch_slots if self.contiguous else blocks
        shape = (layers, 2, self.blocks + 1, kv_heads, self.block_size)
        self.pool = _zeros((*shape, head_dim), torch.int8 if int8 else dtype, device)
        self.scales = _zeros(shape, torch.float16, device) if int8 else None
        self.block_table = torch.zeros(batch_slots, -(-positions // self.block_size), dtype=torch.int32, device=device)
        self._table: NDArray[np.int32] = np.zeros(self.block_table.shape, dtype=np.int32)
        self._counts: NDArray[np.int64] = np.zeros(batch_slots, dtype=np.int64)
        self._free = list(range(self.blocks, 0, -1))
        self._stale = False

    @property
    def free_blocks(self) -> int:
        """The number of blocks that no sequence has."""
        return int((self._counts == 0).sum()) if self.contiguous else len(self._free)

    def blocks_for(self, tokens: int) -> int:
        """The number of blocks that so many tokens take."""
        return -(-tokens // self.block_size)

    def reserve(self, batch_slot: int, tokens: int) -> bool:
        """Give a batch slot blocks for so many tokens. If too few are free, return False and change nothing."""
        wanted = self.blocks_for(tokens) - int(self._counts[batch_slot])
        if wanted <= 0:
            return True
        if self.contiguous:
            self._table[batch_slot, 0] = batch_slot + 1
        else:
            if wanted > len(self._free):
                return False
            count = int(self._counts[batch_slot])
            for index in range(count, count + wanted):
                self._table[batch_slot, index] = self._free.pop()
        self._counts[batch_slot] += wanted
        self._stale = True
        return True

    def release(self, batch_slot: int) -> None:
        """Take back the blocks of a batch slot."""
        if not self.contiguous:
            self._free += [int(block) for block in self._table[batch_slot, : self._counts[batch_slot]]]
        self._table[batch_slot] = 0
        self._counts[batch_slot] = 0
        self._stale = True

    def move(self, source: int, target: int) -> None:
        """Move a sequence from one batch slot to another one, which has no blocks."""
        if self.contiguous:
            for part in (self.pool,) if self.scales is None else (self.pool, self.scales):
                part[:, :, target + 1] = part[:, :, source + 1]
            self._table[target, 0] = target + 1
        else:
            self._table[target] = self._table[source]
        self._counts[target] = self._counts[source]
        self._table[source] = 0
        self._counts[source] = 0
        self._stale = True

    def sync(self) -> None:
        """Copy the block table to the device, if it has changed."""
        if self._stale:
            upload(torch.from_numpy(self._table.copy()), self.block_table)
            self._stale = False

    def locations(self, batch_slots: torch.Tensor, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The places of the first positions of these batch slots: blocks [batch slots, positions], offsets [positions].

        A position after a sequence's blocks is in block 0.
        """
        position = torch.arange(positions, device=batch_slots.device)
        return self.block_table[batch_slots][:, position // self.block_size].long(), position % self.block_size

    def write(
        self, layer: int, locations: tuple[torch.Tensor, torch.Tensor], keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Write keys and values [batch slots, positions, kv heads, head_dim] to `locations`.

        Without positions, each batch slot has one location: blocks and offsets are [batch slots].
        """
        if self.scales is not None:
            keys, key_scales = quantized(keys)
            values, value_scales = quantized(values)
            self.scales[layer, 0].transpose(1, 2)[locations] = key_scales
            self.scales[layer, 1].transpose(1, 2)[locations] = value_scales
        self.pool[layer, 0].transpose(1, 2)[locations] = keys
        self._values(layer).transpose(1, 2)[locations] = values

    def context(self, layer: int, batch_size: int, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [batch size, kv heads, positions, head_dim] of the first batch slots of a contiguous cache,
        in the model's dtype.
        """
        slots = slice(1, batch_size + 1)
        keys, values = self.pool[layer, 0, slots, :, :positions], self._values(layer)[slots, :, :positions]
        if self.scales is None:
            return keys, values
        scales = self.scales[layer, :, slots, :, :positions]
        return dequantized(keys, scales[0], self._dtype), dequantized(values, scales[1], self._dtype)

    def _values(self, layer: int) -> torch.Tensor:
        """The values [blocks, kv heads, block size, head_dim] of a layer."""
        values = self.pool[layer, 1]
        if self.scales is None:
            return values
        blocks, kv_heads, block_size, head_dim = values.shape
        return values.view(blocks, kv_heads, head_dim, block_size).transpose(2, 3)


def upload(source: torch.Tensor, target: torch.Tensor) -> None:
    """Copy from the CPU without waiting for the device's earlier work."""
    if target.device.type == "cuda":
        source = source.pin_memory()
    target.copy_(source, non_blocking=True)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, because masked values are multiplied by 0; on a CPU, only used memory pages are allocated."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, dtype=np.uint8)).view(dtype).view(shape)
