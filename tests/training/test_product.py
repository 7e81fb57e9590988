from __future__ import annotations

import numpy as np

from premodel.training.product import product


def test_is_the_product_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((40, 7), np.float32), rng.random((7, 3), np.float32)
    found = product(a, b)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, a @ b)


def test_a_flag_of_an_invalid_operation_is_no_warning_here() -> None:
    """Warnings are errors in these tests; infinity times zero raises that flag for certain, OpenBLAS now and then."""
    assert np.isnan(product(np.array([[np.inf, 1.0]]), np.zeros(2)))
