"""What each image's share of its subject is divided by: nobody moves a sum by more than one image may."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.data import images_per_subject


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        pytest.param(["b", "a", "b", "b"], [3, 1, 3, 3], id="names in any order"),
        pytest.param([7, 7, 0], [2, 2, 1], id="numbers"),
        pytest.param([], [], id="nobody"),
    ],
)
def test_each_image_is_told_how_many_its_subject_has(subjects: list[str | int], expected: list[int]) -> None:
    assert images_per_subject(np.array(subjects)).tolist() == expected


@given(subjects=st.lists(st.sampled_from("abcde"), min_size=1, max_size=60))
def test_the_weights_of_each_subject_sum_to_one(subjects: list[str]) -> None:
    names = np.array(subjects)
    weights = 1 / images_per_subject(names)
    assert all(weights[names == name].sum() == pytest.approx(1) for name in set(subjects))
