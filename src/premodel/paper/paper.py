"""The paper's numbers as data: value, definition, place.

Source: Taylor, Marco, Wolff, Elkhatib, Wang, "Adaptive deep learning model selection on embedded systems", LCTES 2018.
Definitions are in our words. Plots without printed numbers are not read off by eye: they have no value here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A number of the paper.

    Attributes
    ----------
    value:
        The number, in `unit`; None where the paper has a plot or a statement without a number.
    text:
        The number as the paper prints it, or what is there instead.
    unit:
        As in `Comparison`.
    definition:
        What the paper states it is, or that it does not say.
    where:
        Section, figure or table.
    whose:
        The publication.
    """

    value: float | None
    text: str
    unit: str
    definition: str
    where: str
    whose: str = "LCTES 2018"


def _percent(value: float, definition: str, where: str, text: str = "") -> Published:
    return Published(value, text or f"{value:g} %", "%", definition, where)


def _points(value: float, definition: str, where: str, text: str = "") -> Published:
    return Published(value, text or f"{value:g} points", "points", definition, where)


def _times(value: float, definition: str, where: str) -> Published:
    return Published(value, f"{value:g} times", "times", definition, where)


def _ms(value: float, definition: str, where: str, text: str = "") -> Published:
    return Published(value, text or f"{value:g} ms", "ms", definition, where)


def _plot(definition: str, where: str) -> Published:
    return Published(None, "a plot without numbers", "", definition, where)


TOP1 = _percent(87.44, "top-1 of the whole; how an image without any inference counts is not said", "5.1, 8, Fig 8c")
ORACLE_TOP1 = _percent(91.2, "a perfect choice for every image, top-1", "5.1, Fig 8c")
TOP5 = _percent(95.4, "top-5 of the whole", "5.1, Fig 8c")
ORACLE_TOP5 = _percent(98.3, "a perfect choice for every image, top-5", "5.1, Fig 8c")
OF_ORACLE = _percent(
    96.0, "top-1 over the Oracle's; 87.4 / 91.2 is 95.8 %, so this is a rounding up", "5.1", "over 96 %"
)
GAIN_BEST = _points(7.52, "top-1 above the most accurate single network; 7.6 in section 5.1", "abstract, 8")
SPEEDUP_BEST = _times(1.8, "inference time of the most accurate single network over the premodel's", "abstract, 5.1")
GAIN_CHEAPEST = _points(16.6, "top-1 above MobileNet, the fastest of the three", "5.1")
MEAN_TIME = _ms(1000, "mean inference time on a TX2 GPU, premodel included", "5.1", "under a second")
CHEAPEST_TIME = _ms(700, "mean inference time of MobileNet on a TX2 GPU", "5.1")
PREMODEL_VS_CHEAPEST = _times(3, "MobileNet's time over the premodel's own (features and decision)", "5.1")
ENERGY_GAIN = Published(
    2, "more than 2 times less", "times", "energy of Inception or ResNet over the whole's, idle deducted", "5.1, Fig 8b"
)
PRECISION_RECALL = _plot("precision, recall and F1 over object classes; the averaging is not said", "4.2, Fig 8d")
OPTIMUM_SHARE = _percent(95.6, "share of test images for which the optimum network was chosen; none: not said", "1")
FIRST_SHARE = _percent(70.75, "share of images for which MobileNet_v1_100 is the optimum under top-1", "3.2, Fig 5")
SECOND_ACCURACY = _percent(43.91, "top-1 of Inception_v4 on the images where the first fails", "3.2, Fig 6b")
SECOND_GAIN = _points(12.84, "accuracy that the second network adds", "3.2")
THIRD_GAIN = _points(2.55, "accuracy that the third network adds", "3.2, Fig 6c")
FOURTH_GAIN = _points(0.5, "accuracy a fourth network would add: below the threshold", "3.2", "below 0.5 points")
COVERAGE = _percent(86.14, "70.75 + 12.84 + 2.55: share of images that any of the three gets right", "3.2")
NETWORKS = Published(3, "3 of 12 (3.3) or 14 (4.1)", "", "networks that Algorithm 1 keeps", "3.2")
FEATURES_LISTED = Published(30, "30; the table lists 29", "", "candidate features", "3.4, Tab 2")
FEATURES_LEFT = Published(
    17, "17", "", "features left after dropping pairs with correlation above 0.75", "3.4.1, Tab 3"
)
CORRELATIONS = Published(0.99, "0.75 to 0.99", "", "correlation of dropped features with the kept one", "Tab 3")
FEATURES_KEPT = Published(7, "7", "", "features kept after greedy removal", "3.4.1, Tab 4")
IMPORTANCE_TOP = _percent(18, "share of the most important feature in all drops of accuracy", "3.4.3, Fig 7")
EIGHTH = Published(None, "hue7", "", "feature of eighth importance, the first that is not kept", "5.4, Fig 12")
FIVE_FEATURES = _points(-13.9, "top-1 with 5 features against 7", "5.4, Fig 13")
MORE_FEATURES = _points(-0.4, "top-1 with more than 7 features", "5.4, Fig 13")
TECHNIQUES = _plot(
    "top-1 and time of KNN, CNN, decision tree and SVM; KNN is said to be the most accurate", "5.2, Fig 9"
)
CHAIN_BEST = Published(87.4, "KNN.KNN.KNN, 87.4 %", "%", "the most accurate of 27 chains", "5.2, Fig 10")
CHAIN_TIME = _ms(200, "time of KNN.KNN.KNN's premodel", "5.2, Fig 10", "0.20 s")
LEVEL_ACCURACY = (
    _percent(95.8, "accuracy of KNN-1; on which images is not said", "5.2"),
    _percent(80.1, "accuracy of KNN-2; on which images is not said", "5.2"),
    _percent(72.3, "accuracy of KNN-3; on which images is not said", "5.2"),
)
PLATEAU = _percent(87.5, "top-1 from three levels on", "5.3, Fig 11", "about 87.5 %, from 3 levels on")
SHARE_OF_TIME = _percent(20, "premodel's part in the mean time", "5.5")
SHARE_OF_DEAREST = _percent(9.52, "premodel's time in ResNet_v2_152's", "5.5")
SHARE_OF_CHEAPEST = _percent(27, "premodel's time in MobileNet's", "5.5")
SHARE_OF_ENERGY = _percent(11, "premodel's part in the energy", "5.5")
KNN_TIME = _ms(1, "time of one KNN prediction", "3.1", "under 1 ms")
TRAINING = Published(None, "under a day, and under 2 hours", "", "training data on a P40; selection and tuning", "3.3")
MEMORY = _percent(25, "part of the TX2's 8 GB that the chosen networks use", "5.5")
MOTIVATION_RATIO = _times(6.13, "dearest over cheapest of four networks on one image", "2.1, Fig 1d")
MOTIVATION_SETS = Published(None, "three images, four networks", "", "networks right under top-5 and top-1", "Tab 1")

RATES = {"first": 0.7075, "second_after": 0.4391, "third_after": 0.0255 / 0.1641, "second": 0.7992, "third": 0.7674}
"""Shares from which its three networks' joint correctness follows, but for one.

Right: the first; the second where the first fails; the third where both fail; the second and the third overall
(87.44 less 7.52 and 10.7).
"""
