"""Linear algebra in one thread, and in as many as before afterwards."""

from __future__ import annotations

import pytest
import scipy.linalg  # noqa: F401  so that its BLAS is loaded
from threadpoolctl import threadpool_info, threadpool_limits

from sweep.util.blas import one_blas_thread


def threads() -> list[int]:
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def test_every_blas_has_one_thread_inside_and_its_own_number_afterwards() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            inside = threads()
        assert inside == [1] * len(before)
        assert threads() == before == [2] * len(before)


def test_an_error_inside_leaves_the_number_as_it_was() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with pytest.raises(ValueError, match="inside"), one_blas_thread():
            raise ValueError("inside")
        assert threads() == before
