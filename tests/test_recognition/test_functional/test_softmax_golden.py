"""One Partial FC step on k ranks against the golden steps."""

import numpy as np
import pytest

from tests.golden import max_rel, read_arrays, read_json
from tests.sharded_step import put_together, sharded_step

pytestmark = pytest.mark.golden

_CASES = (read_json('partial_fc/step/cases.json') or {'cases': []})['cases']
_by_id = pytest.mark.parametrize('case', _CASES, ids=[c['id'] for c in _CASES])


def _loss_config(case, gradient=None):
    """The config of the loss a case was made with, by its numbers."""
    loss = case['loss']
    if loss['m1'] != 1 or (loss['m2'] and loss['m3']):
        return dict(
            type='mmdense.CombinedMarginLoss',
            scale=loss['s'],
            m1=loss['m1'],
            m2=loss['m2'],
            m3=loss['m3'],
        )
    if loss['m3']:
        return dict(
            type='mmdense.CosFaceLoss', scale=loss['s'], margin=loss['m3']
        )
    return dict(
        type='mmdense.ArcFaceLoss',
        scale=loss['s'],
        margin=loss['m2'],
        gradient=gradient or loss['gradient'],
    )


def _run(ranks, case, data, loss, dtype, chunk_size=None):
    index = None
    if case['sampled_len'] is not None:
        index = [data[f'index_rank{r}'] for r in range(case['world_size'])]
    parts = ranks(case['world_size'])(
        sharded_step,
        list(data['embeddings']),
        data['centres'],
        list(data['labels']),
        loss,
        dtype,
        index,
        chunk_size,
        case['loss']['interclass_filtering_threshold'] or None,
    )
    return put_together(parts)


def _compare(result, loss, embeddings, centres):
    """Against float64 truth, to its own agreement."""
    assert abs(result[0] - loss) < 1e-10 * max(1, abs(loss))
    shape = (-1, embeddings.shape[-1])
    assert max_rel(result[1].reshape(shape), embeddings) < 1e-10
    # Large files leave some centre gradients out.
    if centres is not None:
        assert max_rel(result[2], centres) < 1e-10


@_by_id
@pytest.mark.parametrize('chunk_size', [None, 7])
def test_float64_equals_the_truth(ranks, case, chunk_size):
    data = read_arrays(f'partial_fc/step/{case["file"]}')
    loss = _loss_config(case)
    result = _run(ranks, case, data, loss, 'float64', chunk_size)
    kind = 'true_'
    if loss['type'] == 'mmdense.ArcFaceLoss':
        straight = loss['gradient'] == 'straight_through'
        kind = 'true_st_' if straight else 'true_fallback_'
    # The straight-through form has the values of cos(theta + m) everywhere.
    value = 'true_' if kind == 'true_st_' else kind
    _compare(
        result,
        data[f'{value}loss'],
        data[f'{kind}emb_grad'],
        data.get(f'{kind}centre_grad'),
    )


@_by_id
def test_exact_arcface_equals_the_truth(ranks, case):
    """Also on the cases whose reference ran the straight-through form."""
    data = read_arrays(f'partial_fc/step/{case["file"]}')
    if 'true_fallback_loss' not in data:
        pytest.skip('not an ArcFace case')
    loss = _loss_config(case, gradient='exact')
    result = _run(ranks, case, data, loss, 'float64')
    _compare(
        result,
        data['true_fallback_loss'],
        data['true_fallback_emb_grad'],
        data.get('true_fallback_centre_grad'),
    )


@_by_id
def test_float32_equals_the_reference_run(ranks, case):
    data = read_arrays(f'partial_fc/step/{case["file"]}')
    loss, embeddings, centres = _run(
        ranks, case, data, _loss_config(case), 'float32'
    )
    if case['extra']['rows_hitting_loss_floor'] == 0:
        assert abs(loss - data['ref_loss']) < 5e-5
    else:
        # The reference caps the loss of such rows, but not their gradient.
        assert loss > data['ref_loss']
    k = case['world_size']
    expected = data['ref_emb_grad'].reshape(embeddings.shape)
    assert max_rel(k * embeddings, expected) < 3e-5
    assert max_rel(centres, data['ref_centre_grad']) < 3e-5
    if case['sampled_len'] is not None:
        untouched = np.abs(data['ref_centre_grad']).sum(axis=1) == 0
        assert np.all(centres[untouched] == 0)
