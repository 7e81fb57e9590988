from __future__ import annotations

from premodel.paper.coverage import CoverageCheck, published_check


def test_the_papers_own_figure_is_flagged() -> None:
    check = published_check()
    assert (check.accuracy, check.union) == (87.44, 86.14)
    assert not check.possible
    assert check.verdict == "IMPOSSIBLE: 1.30 points above the union"


def test_what_can_be_reached_passes() -> None:
    assert CoverageCheck("ours", 64.0, 91.0).possible
    assert CoverageCheck("perfect", 86.14, 86.14).possible
    assert CoverageCheck("rounded", 86.144, 86.14).possible
    assert not CoverageCheck("one sample too many", 86.2, 86.14).possible
