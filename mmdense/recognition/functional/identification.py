"""Identification: who in the gallery is this?"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Identification:
    """What the search of a gallery gave for each of Q queries.

    The mates of a query are the gallery samples of its identity. A sample of
    another identity whose score is equal to a mate's, but for rounding, is
    taken to come before it, so that a network that gives all images one
    embedding gets no credit.

    Attributes:
        num_mates: int64 (Q,), mates in the gallery.
        rank: int64 (Q,), place of the first mate in the gallery sorted by
            score, from 1; 0 for a query without mates.
        average_precision: float64 (Q,), mean over mates of the precision at
            the mate's place; 0 without mates.
        mate_score: float64 (Q,), best score of a mate; -inf without mates.
        other_score: float64 (Q,), best score of another identity; -inf if
            there is none.
    """

    num_mates: NDArray[np.int64]
    rank: NDArray[np.int64] = field(repr=False)
    average_precision: NDArray[np.float64] = field(repr=False)
    mate_score: NDArray[np.float64] = field(repr=False)
    other_score: NDArray[np.float64] = field(repr=False)

    @property
    def mated(self) -> NDArray[np.bool_]:
        """(Q,) whether the query has a mate in the gallery."""
        return self.num_mates > 0

    def cmc(self, max_rank: int) -> NDArray[np.float64]:
        """The cumulative match characteristic: rank-k rate, k = 1, 2, ...

        Grother and Ngan, "Face Recognition Vendor Test", NIST IR 8009, 2014:
        the share of queries with a mate among the k best. Queries without
        mates do not count.

        Args:
            max_rank: The largest k.

        Returns:
            (max_rank,), ascending.

        Raises:
            ValueError: No query has a mate.
        """
        counts = np.bincount(self._mated(self.rank), minlength=max_rank + 1)
        return np.cumsum(counts[1 : max_rank + 1]) / self.mated.sum()

    @property
    def mean_average_precision(self) -> float:
        """Mean average precision, mAP, over the queries that have mates.

        Raises:
            ValueError: No query has a mate.
        """
        return float(self._mated(self.average_precision).mean())

    def tpir(
        self, fpirs: Sequence[float], rank: int = 1
    ) -> NDArray[np.float64]:
        """True positive identification rates at false positive ones.

        ISO/IEC 19795-1: of the queries without mates at most the share
        `fpir` may have any gallery sample above the threshold; a query with
        mates is identified if one of them is, and among the `rank` best.

        Args:
            fpirs: False positive identification rates, in [0, 1).
            rank: How deep in the sorted gallery a mate may be.

        Returns:
            (len(fpirs),).

        Raises:
            ValueError: A rate is out of range, no query has a mate, or all
                have.
        """
        for fpir in fpirs:
            if not 0 <= fpir < 1:
                raise ValueError(f'fpir must be in [0, 1), got {fpir}')
        strangers = np.sort(self.other_score[~self.mated])[::-1]
        if not len(strangers):
            raise ValueError(
                'every query has a mate in the gallery; false positives need '
                'queries of identities that are not in it'
            )
        mates = self._mated(self.mate_score)
        within = self._mated(self.rank) <= rank
        # The rounding guards against 0.001 * 3000 = 2.9999999999999996.
        allowed = np.floor(np.round(np.array(fpirs) * len(strangers), 9))
        thresholds = strangers[
            np.minimum(allowed.astype(np.int64), len(strangers) - 1)
        ]
        return np.array(
            [np.mean(within & (mates > threshold)) for threshold in thresholds]
        )

    def _mated(self, values: NDArray) -> NDArray:
        if not self.mated.any():
            raise ValueError(
                f'none of {len(self.num_mates)} queries has a mate in the '
                'gallery; check that both use the same labels'
            )
        return values[self.mated]
