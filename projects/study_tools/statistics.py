"""Means with spread, and differences between cells of one seed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Paired:
    """Differences of pairs that share all but one thing.

    Attributes:
        differences: (n,).
        mean: Their mean.
        low: Lower end of the 95 % confidence interval of the mean, by
            Student's t with n - 1 degrees of freedom; NaN for n < 2.
        high: Upper end.
        p: Two-sided p-value of the paired t-test; NaN for n < 2.
    """

    differences: np.ndarray
    mean: float
    low: float
    high: float
    p: float

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.differences)


def mean_std(values: Iterable[float]) -> tuple[float, float, int]:
    """Mean, sample standard deviation (NaN for one value) and number."""
    array = np.fromiter(values, float)
    std = array.std(ddof=1) if len(array) > 1 else float('nan')
    return float(array.mean()), float(std), len(array)


def paired(differences: Iterable[float]) -> Paired:
    """The paired t-test and its confidence interval.

    Args:
        differences: (n,) with n > 0, one per pair.
    """
    array = np.fromiter(differences, float)
    mean = float(array.mean())
    if len(array) < 2:
        nan = float('nan')
        return Paired(array, mean, nan, nan, nan)
    error = float(array.std(ddof=1)) / len(array) ** 0.5
    half = float(stats.t.ppf(0.975, len(array) - 1)) * error
    # Equal differences, as of made-up numbers, have no error.
    ratio = abs(mean) / error if error else np.inf
    p = 2 * float(stats.t.sf(ratio, len(array) - 1))
    return Paired(array, mean, mean - half, mean + half, p)


def differences(
    treated: Mapping[object, float], control: Mapping[object, float]
) -> list[float]:
    """Treated less control, for the keys that both have, in their order."""
    return [value - control[k] for k, value in treated.items() if k in control]
