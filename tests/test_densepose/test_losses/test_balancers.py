"""Balancers against their formulas."""

import math

import pytest
import torch

from mmdense.densepose.losses import (
    DWABalancer,
    RampBalancer,
    SoftmaxBalancer,
    StaticBalancer,
    UncertaintyBalancer,
)
from mmdense.densepose.losses.balancers import TASKS
from mmdense.densepose.roi_heads.uv_losses import UVLosses

VALUES = dict(zip(TASKS, (0.7, 3.2, 0.2, 0.1), strict=True))
WEIGHTS = {'coarse': 5.0, 'u': 10.0}
BALANCERS = [
    StaticBalancer,
    SoftmaxBalancer,
    UncertaintyBalancer,
    DWABalancer,
    RampBalancer,
]


def tensors(values=VALUES) -> dict[str, torch.Tensor]:
    return {
        task: torch.tensor(value, requires_grad=True)
        for task, value in values.items()
    }


def weighted(values=VALUES) -> dict[str, float]:
    return {task: WEIGHTS.get(task, 1) * v for task, v in values.items()}


def floats(values: dict) -> dict[str, float]:
    return {name: value.item() for name, value in values.items()}


def test_static():
    losses, log = StaticBalancer(WEIGHTS)(tensors())
    assert floats(losses) == pytest.approx(weighted())
    assert log == {}


def test_one_weight_for_u_and_v():
    assert StaticBalancer({'uv': 3.0, 'v': 2.0}).weights == [1, 1, 3, 2]
    joint = StaticBalancer({'uv': 3.0}, tasks=('coarse', 'part', 'uv'))
    assert joint.weights == [1, 1, 3]


def test_softmax():
    values = tensors()
    losses, log = SoftmaxBalancer(WEIGHTS, temperature=2.0)(values)
    parts = {t: math.exp(-v / 2) for t, v in weighted().items()}
    factors = {t: 4 * p / sum(parts.values()) for t, p in parts.items()}
    assert floats(losses) == pytest.approx(
        {t: factors[t] * v for t, v in weighted().items()}
    )
    assert floats(log) == pytest.approx(
        {f'balance_{t}': f for t, f in factors.items()}
    )
    # Its weights carry no gradient.
    sum(losses.values()).backward()
    for task, value in values.items():
        expected = factors[task] * WEIGHTS.get(task, 1)
        assert value.grad.item() == pytest.approx(expected)


def test_uncertainty_starts_as_fixed_weights_and_settles_at_equal_terms():
    balancer = UncertaintyBalancer(WEIGHTS)
    losses, _ = balancer(tensors())
    assert floats(losses) == pytest.approx(weighted())
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.1)
    for _ in range(2000):
        optimizer.zero_grad()
        sum(balancer(tensors())[0].values()).backward()
        optimizer.step()
    # The minimum of exp(-s) L + s is at s = log L, where the first is 1.
    _, log = balancer(tensors())
    for task, value in weighted().items():
        found = log[f'balance_{task}'].item() * value
        assert found == pytest.approx(1, rel=1e-3)


def test_dwa():
    balancer = DWABalancer(window=2, temperature=2.0)
    history = [
        {'coarse': c, 'part': 1.0, 'u': u, 'v': 0.0}
        for c, u in ((4.0, 1.0), (2.0, 3.0), (1.0, 2.0), (2.0, 2.0))
    ]
    for values in history:
        losses, log = balancer(tensors(values))
        assert floats(losses) == pytest.approx(values)
        assert set(floats(log).values()) == {1}
    _, log = balancer(tensors(VALUES))
    # Means 3, 1, 2, 0 and then 1.5, 1, 2, 0.
    ratios = {'coarse': 0.5, 'part': 1.0, 'u': 1.0, 'v': 1.0}
    parts = {t: math.exp(r / 2) for t, r in ratios.items()}
    assert floats(log) == pytest.approx(
        {f'balance_{t}': 4 * p / sum(parts.values()) for t, p in parts.items()}
    )


def test_uncertainty_leaves_a_task_without_samples_alone():
    balancer = UncertaintyBalancer()
    optimizer = torch.optim.SGD(balancer.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        losses, log = balancer(tensors({**VALUES, 'coarse': 0.0}))
        assert losses['coarse'].item() == 0
        assert log['balance_coarse'].item() == 1
        sum(losses.values()).backward()
        optimizer.step()
    assert log['balance_u'].item() != 1


def test_dwa_leaves_out_what_is_not_finite():
    plain, hit = DWABalancer(window=3), DWABalancer(window=3)
    for i in range(9):
        values = {t: v * 1.1 ** (i * v) for t, v in VALUES.items()}
        _, expected = plain(tensors(values))
        _, found = hit(tensors(values))
        assert floats(found) == floats(expected)
        # Also where a window has just been filled.
        for wrong in (math.inf, math.nan):
            hit(tensors({**values, 'v': wrong}))
    assert len(set(floats(found).values())) > 1


@pytest.mark.parametrize('kind', BALANCERS)
def test_losses_below_0(kind):
    """Taken, or refused when the head is built."""
    options = dict(
        loss_points=dict(type='mmdense.ConfidentPointsLoss'),
        loss_balancer=dict(type=f'mmdense.{kind.__name__}'),
    )
    if kind.takes_negative:
        UVLosses(**options)
        return
    with pytest.raises(ValueError, match=f'{kind.__name__} would'):
        UVLosses(**options)


def test_dwa_goes_on_where_it_stopped():
    first, second = DWABalancer(window=3), DWABalancer(window=3)
    sequence = [
        {t: v * (i + 1) ** (k / 2) for k, (t, v) in enumerate(VALUES.items())}
        for i in range(10)
    ]
    for values in sequence[:5]:
        first(tensors(values))
    second.load_state_dict(first.state_dict())
    for values in sequence[5:]:
        _, expected = first(tensors(values))
        _, found = second(tensors(values))
        assert floats(found) == floats(expected)
    assert len(set(floats(found).values())) > 1


def test_ramp():
    balancer = RampBalancer(start=0.2, steps=4)
    found = []
    for _ in range(6):
        losses, _ = balancer(tensors())
        assert losses['part'].item() == pytest.approx(VALUES['part'])
        found.append(losses['u'].item() / VALUES['u'])
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    balancer = RampBalancer(ramped=['part'], start=0.0, steps=10)
    losses, _ = balancer(tensors())
    assert losses['part'].item() == 0
    assert losses['u'].item() == pytest.approx(VALUES['u'])


@pytest.mark.parametrize('kind', BALANCERS)
def test_does_not_count_steps_in_evaluation(kind):
    balancer = kind().eval()
    before = {k: v.clone() for k, v in balancer.state_dict().items()}
    balancer(tensors())
    for name, value in balancer.state_dict().items():
        assert value.equal(before[name])


@pytest.mark.parametrize('kind', BALANCERS)
def test_bad_weights(kind):
    with pytest.raises(ValueError, match='i, but the tasks are coarse'):
        kind({'i': 1.0})
    with pytest.raises(ValueError, match='negative'):
        kind({'u': -1.0})


@pytest.mark.parametrize(
    ('kind', 'arguments'),
    [
        (SoftmaxBalancer, dict(temperature=0)),
        (DWABalancer, dict(window=0)),
        (DWABalancer, dict(temperature=-1)),
        (RampBalancer, dict(steps=0)),
        (RampBalancer, dict(ramped=['uv'])),
    ],
)
def test_bad_options(kind, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kind(**arguments)
