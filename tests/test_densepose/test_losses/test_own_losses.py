"""A loss and a balancer as the page on UV R-CNN registers them."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdense.densepose.losses import PointsLoss
from mmdense.densepose.roi_heads.uv_losses import UVLosses
from mmdense.registry import MODELS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def page():
    """The module and the config of the page; what it registers goes again."""
    text = (ROOT / 'docs/uv_rcnn.md').read_text()
    text = text.split('## A loss or balancer of your own')[1]
    before = dict(MODELS.module_dict)
    yield re.findall(r'^```python\n(.*?)^```', text, re.M | re.S)[:2]
    MODELS.module_dict.clear()
    MODELS.module_dict.update(before)


def test_the_page(page, tmp_path):
    module, config = page
    exec(module, {})
    # The module is not installed here.
    file = tmp_path / 'child.py'
    file.write_text(config.replace('custom_imports', 'imports'))
    head = Config.fromfile(file).model.roi_head.uv_head
    losses = UVLosses(head.loss_points, head.loss_balancer)
    residual = torch.tensor([[0.3, -0.4], [0.0, 1.0]])
    found = losses.points(residual, torch.tensor([0, 1]))
    expected = ((residual**2 + 0.0025).sqrt() - 0.05).mean(0)
    assert found['u'].item() == pytest.approx(expected[0].item())
    assert found['v'].item() == pytest.approx(expected[1].item())
    assert losses.balancer.weights == [5, 1, 10, 10]
    tasks = dict(coarse=2.0, part=0.5, u=1e-6, v=0.1)
    tensors = {name: torch.tensor(value) for name, value in tasks.items()}
    balanced, log = losses.balancer(tensors)
    assert balanced['coarse'].item() == pytest.approx(1)
    assert balanced['u'].item() == pytest.approx(0.01)
    assert log['balance_v'].item() == pytest.approx(1)


def test_a_loss_without_tasks(page):
    @MODELS.register_module()
    class NamelessLoss(PointsLoss):
        def __init__(self):
            super().__init__('point')

    with pytest.raises(ValueError, match='NamelessLoss has no tasks'):
        UVLosses(dict(type='mmdense.NamelessLoss'))
