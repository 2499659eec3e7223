"""A certificate is renewed at the fraction of its life that was drawn."""

import pytest

from cluster.domain.trust.renewal import renewal_time


def test_renewal_falls_within_the_middle_of_the_life() -> None:
    assert [renewal_time(1000, 2000, fraction) for fraction in (0.5, 0.65, 0.8)] == [1500, 1650, 1800]


@pytest.mark.parametrize("fraction", [0.49, 0.81])
def test_another_fraction_is_a_bug(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        renewal_time(1000, 2000, fraction)
