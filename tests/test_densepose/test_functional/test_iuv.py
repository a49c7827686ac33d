"""Labels of boxes that are too large to enlarge all maps at once."""

import pytest
import torch

from mmdense.densepose.functional import iuv


@pytest.mark.parametrize('values', [1, 30 * 20 * 4, 30 * 20 * 25])
def test_labels_a_few_maps_at_a_time(monkeypatch, values):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(15, 8, 8, generator=generator)
    part = torch.randn(25, 8, 8, generator=generator)
    part[7] = part[3]  # the first of equals counts
    expected = iuv.resize_map(part, 30, 20).argmax(0)
    expected[iuv.resize_map(coarse, 30, 20).argmax(0) == 0] = 0
    assert (expected == 3).any()
    monkeypatch.setattr(iuv, '_MAX_VALUES', values)
    found = iuv.label_pixels(coarse, part, 30, 20)
    assert found.dtype == torch.int64
    assert found.equal(expected)
