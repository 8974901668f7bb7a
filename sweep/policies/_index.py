"""A priority index with entries that can be moved and removed."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

_Entry = tuple[tuple[float, ...], int]


class RankedIndex:
    """Keys by rank, lowest first: two heaps with lazy deletion.

    A moved or removed key leaves its old entry behind, to be dropped when it comes up. Keys that
    are moved together have a heap of their own, so that what they leave is soon gone, however many
    keys there are. `put` and `discard` cost O(log n), `first(k)` O(k log n), `put_all` of m keys
    O(m), and O(log n) for each key that it leaves out and the one before had; all amortised.
    """

    def __init__(self) -> None:
        self._front: list[_Entry] = []  # as the last `put_all` had them
        self._back: list[_Entry] = []
        self._rank: dict[int, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._rank)

    def put(self, key: int, rank: tuple[float, ...]) -> None:
        """Add a key, or move it."""
        if self._rank.get(key) == rank:
            return
        self._rank[key] = rank
        heapq.heappush(self._back, (rank, key))

    def put_all(self, ranks: Mapping[int, tuple[float, ...]]) -> None:
        """Add or move many keys."""
        for entry in self._front:
            if entry[1] not in ranks and self._is_current(entry):
                heapq.heappush(self._back, entry)
        self._rank.update(ranks)
        self._front = [(rank, key) for key, rank in ranks.items()]
        heapq.heapify(self._front)

    def discard(self, key: int) -> None:
        """Remove a key, if it is there."""
        self._rank.pop(key, None)

    def first(self, count: int) -> list[int]:
        """The `count` keys of lowest rank, in order; ties go to the lower key."""
        kept: list[tuple[list[_Entry], _Entry]] = []
        keys: list[int] = []
        while len(keys) < count and (heap := self._lowest()):
            entry = heap[0]
            # A key put back at a rank it had before can be there twice, and comes up twice.
            if not kept or entry != kept[-1][1]:
                keys.append(entry[1])
            if len(keys) < count:  # the last one may stay where it is
                kept.append((heap, heapq.heappop(heap)))
        for heap, entry in kept:
            heapq.heappush(heap, entry)
        return keys

    def _lowest(self) -> list[_Entry]:
        """The heap with the lowest current entry on top; an empty one if there is none."""
        for heap in (self._front, self._back):
            while heap and not self._is_current(heap[0]):
                heapq.heappop(heap)
        heaps = [heap for heap in (self._front, self._back) if heap]
        return min(heaps, key=lambda heap: heap[0], default=[])

    def _is_current(self, entry: _Entry) -> bool:
        rank, key = entry
        return self._rank.get(key) == rank
