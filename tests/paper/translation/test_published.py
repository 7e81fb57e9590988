"""The published figures hold together, and what is worked out from them is what they give by hand."""

from __future__ import annotations

import pytest

from premodel.paper.translation import published


@pytest.mark.parametrize("one", [*published.POOL, *published.PREMODELS, published.ORACLE], ids=lambda one: one.name)
def test_the_replications_f1_is_the_harmonic_mean_of_its_two_means(one: published.Printed) -> None:
    assert one.f1 == pytest.approx(2 / (1 / one.bleu + 1 / one.rouge), abs=0.011)
    assert f"F1 {one.f1:.2f}" in one.text


def test_no_premodel_of_the_replication_beats_the_random_mix_by_anything_of_note() -> None:
    found = {one.name: published.replicated_above_mix(one) for one in published.PREMODELS}
    # 4.77 ms is 0.57 / 2.33 of the way from 3_layer to gnmt_2: 28.97 + 0.2446 * 1.16 = 29.254.
    assert found["naive Bayes"] == pytest.approx(-0.224, abs=0.001)
    assert found["KNN"] == pytest.approx(0.02, abs=0.01)
    assert max(found.values()) < 0.05


def test_the_mix_of_three_models_is_that_of_the_nearest_two() -> None:
    pool = [(20.0, 1.0), (30.0, 3.0), (32.0, 5.0)]
    assert published.above_mix(pool, 31.5, 4.0) == pytest.approx(0.5)
    assert published.above_mix(pool, 33.0, 9.0) == pytest.approx(1.0), "beyond the best there is the best alone"
