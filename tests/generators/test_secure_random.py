import numpy as np
import pytest
from scipy.stats import chi2, kstest

from generators.secure_random import secure_normal, secure_poisson_draw, secure_symmetric_normal

N = 20_000
# False alarms once in a hundred million runs: the noise is fresh each time and no seed can fix it.
ALARM = 1e-8


def within_chi_square(squares: float, n: int) -> bool:
    return bool(chi2.ppf(ALARM / 2, n) < squares < chi2.ppf(1 - ALARM / 2, n))


def test_noise_has_the_variance_asked_for_and_is_gaussian() -> None:
    noise = secure_normal((N,), std=3.0) / 3.0
    assert within_chi_square(float(np.sum(noise**2)), N)
    assert kstest(noise, "norm").pvalue > ALARM


def test_noise_is_fresh_whatever_is_seeded() -> None:
    np.random.seed(0)  # noqa: NPY002 (the very thing that must not matter)
    first = secure_normal((8,))
    np.random.seed(0)  # noqa: NPY002
    assert not np.array_equal(first, secure_normal((8,)))


def test_symmetric_noise_is_root_two_smaller_off_the_diagonal() -> None:
    size = 150
    noise = secure_symmetric_normal(size, 2.0)
    assert np.array_equal(noise, noise.T)
    assert within_chi_square(float(np.sum(np.diag(noise) ** 2)) / 4, size)
    upper = noise[np.triu_indices(size, 1)]
    assert within_chi_square(float(np.sum(upper**2)) / 2, len(upper))


def test_poisson_draw_has_its_rate_and_its_variance() -> None:
    sizes = np.array([secure_poisson_draw(500, 0.1).sum() for _ in range(2000)])
    assert abs(sizes.mean() - 50) < 6 * np.sqrt(45 / 2000)
    assert sizes.var() == pytest.approx(45, rel=0.2)


@pytest.mark.parametrize("std", [-1.0, float("nan"), float("inf")])
def test_noise_without_a_size_is_refused(std: float) -> None:
    with pytest.raises(ValueError, match="standard deviation"):
        secure_normal((2,), std)
