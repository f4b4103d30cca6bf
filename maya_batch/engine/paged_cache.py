"""Keys and values of all rows, in pages that rows take as they grow and give back when they end."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

#: Positions of a page on a GPU: one tile of the attention kernel.
PAGE = 64


class KvCache:
    """A pool of pages, and which of them each row has, in order.

    Page 0 belongs to no row: what is computed for a place without a row goes there. With `page_size` 0 a page holds a
    whole row and row r has page r + 1, so that the first n rows are one slice of the pool.
    """

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        head_dim: int,
        rows: int,
        positions: int,
        page_size: int,
        pages: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Room for `rows` rows of at most `positions` tokens each, in `pages` pages (page_size 0: one a row)."""
        self.whole = page_size == 0
        self.page_size = page_size or positions
        self.pages = rows if self.whole else pages
        self.pool = _zeros((layers, 2, self.pages + 1, kv_heads, self.page_size, head_dim), dtype, device)
        self.table = torch.zeros(rows, -(-positions // self.page_size), dtype=torch.int32, device=device)
        self._owned: NDArray[np.int32] = np.zeros(self.table.shape, dtype=np.int32)
        self._held: NDArray[np.int64] = np.zeros(rows, dtype=np.int64)
        self._free = list(range(self.pages, 0, -1))
        self._stale = False

    @property
    def free(self) -> int:
        """Pages that no row has."""
        return int((self._held == 0).sum()) if self.whole else len(self._free)

    def pages_for(self, tokens: int) -> int:
        """Pages that so many tokens take."""
        return -(-tokens // self.page_size)

    def reserve(self, row: int, tokens: int) -> bool:
        """Give a row pages for so many tokens; False, and nothing is changed, where there are too few."""
        wanted = self.pages_for(tokens) - int(self._held[row])
        if wanted <= 0:
            return True
        if self.whole:
            self._owned[row, 0] = row + 1
        else:
            if wanted > len(self._free):
                return False
            held = int(self._held[row])
            for place in range(held, held + wanted):
                self._owned[row, place] = self._free.pop()
        self._held[row] += wanted
        self._stale = True
        return True

    def release(self, row: int) -> None:
        """Take a row's pages back."""
        if not self.whole:
            self._free += [int(page) for page in self._owned[row, : self._held[row]]]
        self._owned[row] = 0
        self._held[row] = 0
        self._stale = True

    def move(self, source: int, target: int) -> None:
        """Make row `source` row `target`, which has no pages."""
        if self.whole:
            self.pool[:, :, target + 1] = self.pool[:, :, source + 1]
            self._owned[target, 0] = target + 1
        else:
            self._owned[target] = self._owned[source]
        self._held[target] = self._held[source]
        self._owned[source] = 0
        self._held[source] = 0
        self._stale = True

    def sync(self) -> None:
        """Bring the table to the device, if it has changed."""
        if self._stale:
            upload(torch.from_numpy(self._owned.copy()), self.table)
            self._stale = False

    def lines(self, rows: torch.Tensor, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the first positions of `rows` [rows] lie: pages [rows, positions], and lines [positions] of a page.

        What lies behind a row's pages goes to page 0.
        """
        line = torch.arange(positions, device=rows.device)
        return self.table[rows][:, line // self.page_size].long(), line % self.page_size

    def write(
        self, layer: int, lines: tuple[torch.Tensor, torch.Tensor], keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Put keys and values [rows, positions, kv heads, head_dim] into `lines`."""
        self.pool[layer, 0].transpose(1, 2)[lines] = keys
        self.pool[layer, 1].transpose(1, 2)[lines] = values


def upload(source: torch.Tensor, target: torch.Tensor) -> None:
    """Copy from the CPU without waiting for what the device still has to do."""
    if target.device.type == "cuda":
        source = source.pin_memory()
    target.copy_(source, non_blocking=True)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, since what is masked is still multiplied by 0; on a CPU they take memory only where they are touched."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, dtype=np.uint8)).view(dtype).view(shape)
