"""What a label may be called, worked by hand."""

from __future__ import annotations

import pytest

from premodel.errors import DatasetError
from premodel.profiling.datasets.labels import LabelList

IMAGENET = ["n01440764 tench, Tinca tinca", "n02012849 crane", "n03126707 crane", "n02123045 tabby, tabby cat"]


def resolve(names: list[str], values: list[str | int]) -> list[int]:
    return LabelList(names).resolve(values, lambda position: f"row {position}").tolist()


def test_index_name_line_and_wordnet_id() -> None:
    assert resolve(IMAGENET, ["0", "3", "2"]) == [0, 3, 2]
    assert resolve(IMAGENET, [0, 3, 2]) == [0, 3, 2]
    assert resolve(IMAGENET, ["n01440764", "tench, Tinca tinca", "n01440764 tench, Tinca tinca"]) == [0, 0, 0]
    assert resolve(IMAGENET, [" n02123045 "]) == [3]


def test_digits_named_by_digits_are_the_same_either_way() -> None:
    assert resolve([str(i) for i in range(10)], ["7", "0"]) == [7, 0]


def test_integers_are_always_indices() -> None:
    assert resolve(["3", "1", "2"], [1, 2]) == [1, 2]


def test_names_that_are_other_numbers_are_never_guessed() -> None:
    with pytest.raises(DatasetError, match=r"row 0: label can be read as an index and as a name.*'1'"):
        resolve(["3", "0", "2", "1"], ["1", "2"])


def test_one_reading_for_the_whole_data_set() -> None:
    # "8" is no index into three labels, so all are names, although "1" could be an index.
    assert resolve(["1", "8", "5"], ["1", "8"]) == [0, 1]


@pytest.mark.parametrize("value", ["4", "-1", "1.0", "", "dog", "tench", "²"])
def test_unknown_label_names_row_value_and_allowed(value: str) -> None:
    with pytest.raises(DatasetError, match="row 1: unknown label; given: ") as caught:
        resolve(IMAGENET, ["0", value])
    assert repr(value) in str(caught.value)
    assert "0 to 3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_integer_out_of_range() -> None:
    with pytest.raises(DatasetError, match="row 2: unknown label; given: 4"):
        resolve(IMAGENET, [0, 1, 4])


def test_a_name_of_two_classes_is_refused_with_both_indices() -> None:
    with pytest.raises(DatasetError, match=r"more than one class.*1 or 2"):
        resolve(IMAGENET, ["crane", "n02123045"])


def test_names_of_folders_that_are_numbers_are_names() -> None:
    listed = sorted(str(number) for number in range(12))
    labels = LabelList(listed)
    with pytest.raises(DatasetError, match="index and as a name"):
        labels.resolve(["10", "2"], lambda position: f"row {position}")
    found = labels.resolve(["10", "2"], lambda position: f"folder {position}", by_name=True)
    assert [listed[label] for label in found] == ["10", "2"]
    # As indices where one of them is the name of none.
    assert list(LabelList(["10", "11", "12"]).resolve(["0", "1"], str, by_name=True)) == [0, 1]


@pytest.mark.parametrize("value", ["HOT_DOG", "hot-dog", "Hot  dog"])
def test_a_name_that_can_mean_only_one_label(value: str) -> None:
    labels = LabelList(["T-shirt", "hot dog"])
    assert labels.index_of(value) == 1
    assert list(labels.resolve([value, "t shirt"], str)) == [1, 0]


def test_names_that_differ_in_case_alone_are_kept_apart() -> None:
    labels = LabelList(["polish", "Polish", "french"])
    assert list(labels.resolve(["Polish", "polish", "FRENCH"], str)) == [1, 0, 2]
    with pytest.raises(DatasetError, match="unknown label"):
        labels.resolve(["POLISH", "french"], str)


def test_numbers_that_count_from_one_are_refused_with_what_to_do() -> None:
    for values in (["1", "2", "3"], ["001", "003"], [1, 2, 3]):
        with pytest.raises(DatasetError, match=r"unknown label; .*; the labels seem to count from 1: count from 0"):
            LabelList(["a", "b", "c"]).resolve(values, str)
    for others in (["0", "3"], ["1", "4"], ["1", "dog"]):
        with pytest.raises(DatasetError, match=r"unknown label; [^;]*; allowed: [^;]*$"):
            LabelList(["a", "b", "c"]).resolve(others, str)
