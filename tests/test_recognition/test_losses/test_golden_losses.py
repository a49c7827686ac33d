"""Every margin loss through the head, against the golden losses."""

import math

import numpy as np
import pytest
import torch

from mmdense.recognition.heads import PartialFCHead
from mmdense.recognition.losses import MarginLoss
from mmdense.registry import MODELS
from tests.golden import max_rel, read_arrays, read_json

pytestmark = pytest.mark.golden

_CASES = read_json('partial_fc/loss/losses.json') or []
_by_name = pytest.mark.parametrize(
    'case', _CASES, ids=[case['name'] for case in _CASES]
)


def _arcface(loss):
    mode = loss['mode']
    if mode == 'none':
        return dict(type='CombinedMarginLoss', m1=1.0, m2=loss['m'], m3=0.0)
    return dict(
        type='ArcFaceLoss',
        margin=loss['m'],
        easy_margin=mode == 'easy',
        gradient=mode if mode == 'straight_through' else 'exact',
    )


def _magface(loss):
    return dict(
        type='MagFaceLoss',
        norm_range=(loss['l_a'], loss['u_a']),
        margin_range=(loss['l_margin'], loss['u_margin']),
        regularizer_weight=loss['lambda_g'],
        easy_margin=loss['variant'] == 'easy',
        continuation=loss['variant'] != 'identity',
    )


_FAMILIES = {
    'cosface': lambda x: dict(type='CosFaceLoss', margin=x['m']),
    'arcface': _arcface,
    'combined': lambda x: dict(
        type='CombinedMarginLoss', m1=x['m1'], m2=x['m2'], m3=x['m3']
    ),
    'adaface': lambda x: dict(
        type='AdaFaceLoss',
        margin=x['m'],
        concentration=x['h'],
        momentum=x['t_alpha'],
        gradient=x.get('grad', 'exact'),
    ),
    'curricularface': lambda x: dict(
        type='CurricularFaceLoss', margin=x['m'], momentum=x['t_alpha']
    ),
    'mv_softmax': lambda x: dict(
        type='MVSoftmaxLoss',
        margin=x['m'],
        weight=x['mv_weight'],
        variant=x['variant'],
    ),
    'magface': _magface,
}


# The state by the names of the golden data and by ours.
_STATE = {'batch_mean': 'norm_mean', 'batch_std': 'norm_std', 't': 't'}


@MODELS.register_module()
class GoldenSubCenters(MarginLoss):
    """Any margin on the nearest of several centers."""

    def __init__(self, inner, num_subcenters):
        inner = MODELS.build(inner)
        super().__init__(inner.scale, num_subcenters)
        self.target = inner.target


def _build(case, data, dtype):
    """A head with the centers and the state of a case."""
    loss = case['loss']
    if loss['type'] not in _FAMILIES:
        pytest.skip(f'no loss of the family {loss["type"]}')
    config = dict(_FAMILIES[loss['type']](loss), scale=loss['s'])
    config['type'] = f'mmdense.{config["type"]}'
    if case['K'] > 1:
        config = dict(
            type='mmdense.GoldenSubCenters',
            inner=config,
            num_subcenters=case['K'],
        )
    head = PartialFCHead(
        case['C'], case['d'], config, filter_threshold=loss.get('filter')
    )
    head.to(dtype)
    with torch.no_grad():
        centres = torch.tensor(data['centres'])
        head.centers.weight.copy_(centres.reshape(case['C'], -1))
    buffers = dict(head.loss_module.named_buffers())
    for name, value in case['state_in'].items():
        buffers[_STATE[name]].fill_(value)
    return head


def _run(case, dtype):
    data = read_arrays(f'partial_fc/loss/{case["file"]}')
    head = _build(case, data, dtype)
    x = torch.tensor(data['embeddings'], dtype=dtype, requires_grad=True)
    results = head.loss_by_feat(x, torch.tensor(data['labels']))
    total = sum(v for name, v in results.items() if 'loss' in name)
    total.backward()
    return data, head, x, results, total


@_by_name
@pytest.mark.parametrize(
    ('dtype', 'by_value', 'by_grad'),
    [(torch.float64, 1e-10, 1e-10), (torch.float32, 5e-5, 5e-5)],
    ids=['float64', 'float32'],
)
def test_loss_and_gradients(case, dtype, by_value, by_grad):
    data, head, x, results, total = _run(case, dtype)
    assert abs(total.item() - data['loss']) < by_value
    assert abs(results['loss'].item() - data['loss_ce']) < by_value
    assert max_rel(x.grad, data['grad_embeddings']) < by_grad
    centers = head.centers.weight.grad.reshape(data['centres'].shape)
    assert max_rel(centers, data['grad_centres']) < by_grad
    buffers = dict(head.loss_module.named_buffers())
    for name, value in case['state_out'].items():
        got = buffers[_STATE[name]].item()
        assert got == pytest.approx(
            value, rel=by_value, abs=min(by_value, 1e-6)
        )


@_by_name
def test_target_entries(case):
    """The margin alone, from the golden cosines."""
    data = read_arrays(f'partial_fc/loss/{case["file"]}')
    head = _build(case, data, torch.float64)
    everyone = np.arange(len(data['labels']))
    cosine = torch.tensor(data['cosine'][everyone, data['labels']])
    norm = torch.tensor(data['norms'])
    head.loss_module.update(cosine, norm)
    target = head.loss_module.target(cosine, norm)
    expected = data['target_logit']
    np.testing.assert_allclose(target, expected, rtol=0, atol=1e-10)
    scaled = data['logits'][everyone, data['labels']]
    scale = head.loss_module.scale
    np.testing.assert_allclose(scale * expected, scaled, rtol=1e-12)
    results = head.loss_by_feat(
        torch.tensor(data['embeddings']), torch.tensor(data['labels'])
    )
    # The mean hides what cancels; single samples do not.
    losses = [
        math.log(np.exp(row - row.max()).sum()) + row.max() - row[label]
        for row, label in zip(data['logits'], data['labels'], strict=True)
    ]
    np.testing.assert_allclose(losses, data['per_sample'], rtol=1e-9)
    assert results['target_cosine'].item() == pytest.approx(
        cosine.mean().item()
    )
