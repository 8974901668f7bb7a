"""A priority index whose entries can be moved and removed."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

_Entry = tuple[tuple[float, ...], int]


class RankedIndex:
    """Keys by rank, lowest first: a heap with lazy deletion.

    A moved or removed key leaves its old entry in the heap, to be dropped when it comes up.
    `put` and `discard` cost O(log n), `first(k)` O(k log n), amortised.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._rank: dict[int, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._rank)

    def put(self, key: int, rank: tuple[float, ...]) -> None:
        """Add a key, or move it."""
        if self._rank.get(key) == rank:
            return
        self._rank[key] = rank
        heapq.heappush(self._heap, (rank, key))

    def put_all(self, ranks: Mapping[int, tuple[float, ...]]) -> None:
        """Add or move many keys; costs no more than building the heap anew."""
        if 4 * len(ranks) < len(self._rank):
            for key, rank in ranks.items():
                self.put(key, rank)
            return
        self._rank.update(ranks)
        self._heap = [(rank, key) for key, rank in self._rank.items()]
        heapq.heapify(self._heap)

    def discard(self, key: int) -> None:
        """Remove a key, if it is there."""
        self._rank.pop(key, None)

    def first(self, count: int) -> list[int]:
        """The `count` keys of lowest rank, in order; ties go to the lower key."""
        if count == 1:  # asked most, and most often answered by what is on top already
            while self._heap and not self._is_current(self._heap[0]):
                heapq.heappop(self._heap)
            return [self._heap[0][1]] if self._heap else []
        kept: list[_Entry] = []
        while self._heap and len(kept) < count:
            entry = heapq.heappop(self._heap)
            # A key put back at a rank it had before can be in the heap twice, side by side.
            if self._is_current(entry) and (not kept or kept[-1] != entry):
                kept.append(entry)
        for entry in kept:
            heapq.heappush(self._heap, entry)
        return [key for _, key in kept]

    def _is_current(self, entry: _Entry) -> bool:
        rank, key = entry
        return self._rank.get(key) == rank
