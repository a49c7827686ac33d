"""A margin that a downstream project defines works sharded as it is."""

import numpy as np
import pytest
import torch

from mmdense.recognition.losses import MarginLoss
from mmdense.registry import MODELS
from tests.references import dense_step, random_problem
from tests.sharded_step import put_together, sharded_step


@MODELS.register_module(force=True)
class QuadraticMargin(MarginLoss):
    """Nobody's margin: steeper where the cosine is small."""

    def __init__(self, scale=20.0, margin=0.2):
        super().__init__(scale)
        self.margin = margin

    def target(self, cosine, norm):
        return cosine - self.margin * (1 - cosine) ** 2


@MODELS.register_module(force=True)
class WithoutTarget(MarginLoss):
    """Forgets the one method that it must have."""


@pytest.mark.parametrize('scale', [20.0, 90.0])
def test_ranks_equal_one_process_and_the_definition(ranks, scale):
    config = dict(type='mmdense.QuadraticMargin', scale=scale)
    x, w, y = random_problem(0, 6, 13, 5)
    expected = dense_step(
        x, w, y, scale, lambda cosine: cosine - 0.2 * (1 - cosine) ** 2
    )
    for size in (1, 2, 3):
        parts = ranks(size)(
            _step, np.split(x, size), w, np.split(y, size), config
        )
        loss, by_x, by_w = put_together(parts)
        assert loss == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(by_x, expected[1], atol=1e-12)
        np.testing.assert_allclose(by_w, expected[2], atol=1e-12)


def _step(x, w, y, config):
    return sharded_step(x, w, y, config, 'float64')


def test_a_margin_must_define_its_target():
    loss = MODELS.build(dict(type='mmdense.WithoutTarget'))
    with pytest.raises(NotImplementedError, match='WithoutTarget must define'):
        loss.target(torch.zeros(1), torch.ones(1))
