"""The index with lazy deletion against the obvious implementation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sweep.policies._index import RankedIndex

operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 3)),
        st.tuples(st.just("put_all"), st.integers(0, 63), st.integers(0, 3)),
        st.tuples(st.just("discard"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("first"), st.integers(0, 7), st.just(0)),
    ),
    max_size=60,
)


@given(operations)
def test_it_orders_like_sorting_everything(steps: list[tuple[str, int, int]]) -> None:
    index, model = RankedIndex(), {}
    for what, number, rank in steps:
        if what == "put":
            index.put(number, (float(rank),))
            model[number] = rank
        elif what == "put_all":  # the keys are the bits of the number
            ranks = {key: (rank + key) % 4 for key in range(6) if number >> key & 1}
            index.put_all({key: (float(value),) for key, value in ranks.items()})
            model |= ranks
        elif what == "discard":
            index.discard(number)
            model.pop(number, None)
        else:
            expected = sorted(model, key=lambda key: (model[key], key))[:number]
            assert index.first(number) == expected
        assert len(index) == len(model)
