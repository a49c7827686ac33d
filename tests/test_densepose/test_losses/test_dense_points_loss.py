"""The loss of points: invariances, bounds, one rank against two."""

import pytest
import torch
import torch.distributed as dist

from mmdense.densepose.losses import ConfidentPointsLoss, DensePointsLoss
from mmdense.densepose.roi_heads.uv_losses import UVLosses
from mmdense.densepose.structures import DensePoseInstances
from mmdense.registry import MODELS
from tests.dense_rois import random_instances, random_maps

FORMS = [
    dict(type='mmdense.DensePointsLoss', reduction=reduction, joint=joint)
    for reduction in ('point', 'instance')
    for joint in (False, True)
] + [
    dict(type='mmdense.DensePointsLoss', shape='power', beta=0.3),
    dict(type='mmdense.ConfidentPointsLoss', confidence='isotropic'),
    dict(
        type='mmdense.ConfidentPointsLoss',
        confidence='anisotropic',
        reduction='instance',
    ),
]


def form_id(form: dict) -> str:
    values = [form['type'].removeprefix('mmdense.')]
    values += [f'{key}={form[key]}' for key in sorted(form) if key != 'type']
    return '-'.join(values)


def points(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    residual = torch.randn(50, 2, generator=generator).double()
    instance = torch.randint(6, (50,), generator=generator)
    extra = {
        name: torch.randn(50, generator=generator).double()
        for name in ('sigma_2', 'kappa_u', 'kappa_v')
    }
    return residual, instance, extra


def test_a_mean_over_points():
    residual, instance, _ = points()
    losses = DensePointsLoss()(residual, instance)
    absolute = residual.abs()
    cost = torch.where(absolute < 1, absolute**2 / 2, absolute - 0.5)
    assert list(losses) == ['u', 'v']
    torch.testing.assert_close(
        torch.stack(list(losses.values())), cost.mean(0)
    )
    legacy = DensePointsLoss(reduction='sum')(residual, instance, 17.0)
    torch.testing.assert_close(torch.stack(list(legacy.values())), cost.sum(0))


def test_a_mean_over_instances():
    residual, instance, _ = points()
    loss = DensePointsLoss('l2', reduction='instance', joint=True)
    found = loss(residual, instance)['uv']
    cost = residual.square().sum(1) / 2
    means = [cost[instance == i].mean() for i in instance.unique()]
    torch.testing.assert_close(found, torch.stack(means).mean())


@pytest.mark.parametrize('form', FORMS, ids=form_id)
def test_twice_the_batch_is_the_same(form):
    loss = MODELS.build(form)
    residual, instance, extra = points()
    once = loss(residual, instance, extra=extra)
    twice = loss(
        residual.repeat(2, 1),
        torch.cat((instance, instance + 6)),
        extra={name: values.repeat(2) for name, values in extra.items()},
    )
    assert once.keys() == twice.keys() == set(loss.tasks)
    for task, value in once.items():
        torch.testing.assert_close(twice[task], value)


@pytest.mark.parametrize('shape', ['smooth_l1', 'l1', 'power'])
@pytest.mark.parametrize('joint', [False, True])
def test_the_gradient_of_a_point_is_bounded(shape, joint):
    power = 2.5
    bound = power / 2 if shape == 'power' else 1
    residual = torch.logspace(-6, 12, 60)[:, None].repeat(1, 2)
    residual.requires_grad_()
    loss = DensePointsLoss(shape, power=power, joint=joint)
    sum(loss(residual, torch.arange(60)).values()).backward()
    size = residual.grad.norm(dim=1) if joint else residual.grad.abs()
    assert size.max().item() <= bound / 60 * (1 + 1e-6)
    # And it stays so however many points there are, unlike the legacy sum.
    residual.grad = None
    legacy = DensePointsLoss(shape, reduction='sum', joint=joint)
    sum(legacy(residual, torch.arange(60)).values()).backward()
    assert residual.grad.abs().sum() > 30


def test_in_half_precision():
    residual, instance, _ = points()
    found = DensePointsLoss()(residual.half() * 300, instance)
    assert found['u'].dtype == torch.float32
    expected = DensePointsLoss()(residual * 300, instance)
    assert found['u'].item() == pytest.approx(expected['u'].item(), rel=1e-3)


def test_no_points():
    residual = torch.zeros(0, 2, requires_grad=True)
    losses = DensePointsLoss()(residual, torch.zeros(0, dtype=torch.int64))
    total = sum(losses.values())
    assert total == 0
    total.backward()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(shape='huber'), 'shape must be one of smooth_l1'),
        (dict(reduction='mean'), 'reduction must be one of point'),
        (dict(beta=0), 'beta=0'),
        (dict(shape='power', power=0.5), r'power=0\.5'),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        DensePointsLoss(**arguments)


def test_bad_options_of_confidences():
    with pytest.raises(ValueError, match='isotropic, anisotropic'):
        ConfidentPointsLoss('iid_iso')
    with pytest.raises(ValueError, match='epsilon'):
        ConfidentPointsLoss(epsilon=0.0)


def gradient_of_share(form: dict, balancer: dict, num_ranks: int):
    """Losses and gradient of a shared parameter, as DDP would average it."""
    # Points of RoIs; the second rank has a RoI without any and one less mask.
    counts, masks = [30, 7, 0, 12], [True, True, False, True]
    boxes, dense = random_instances(counts, masks)
    losses = UVLosses(form, balancer)
    maps = random_maps(4, losses.points.fields)
    rank = dist.get_rank() if num_ranks > 1 else 0
    rows = torch.arange(4).chunk(num_ranks)[rank]
    shift = torch.zeros(len(maps), requires_grad=True)
    mine = {
        name: maps[name][rows] + shift[i] * (1 + maps[name][rows].square())
        for i, name in enumerate(maps)
    }
    found = losses(mine, 16, boxes[rows], dense[rows])
    total = sum(v for k, v in found.items() if k.startswith('loss_'))
    total.backward()
    values = torch.cat((total.detach().reshape(1), shift.grad))
    if num_ranks > 1:
        dist.all_reduce(values)
    return values / num_ranks


@pytest.mark.parametrize('form', FORMS, ids=form_id)
def test_two_ranks_are_as_one(form, ranks):
    arguments = (form, dict(type='mmdense.StaticBalancer'))
    expected = gradient_of_share(*arguments, 1)
    assert expected.abs().min() > 0
    for found in ranks(2)(gradient_of_share, *arguments, 2):
        torch.testing.assert_close(found, expected)


def test_two_ranks_are_as_one_for_a_balancer(ranks):
    # Its weights follow from the mean of the losses of all ranks.
    arguments = (FORMS[0], dict(type='mmdense.SoftmaxBalancer'))
    expected = gradient_of_share(*arguments, 1)
    for found in ranks(2)(gradient_of_share, *arguments, 2):
        torch.testing.assert_close(found, expected)


def losses_of_a_rank_without_people():
    losses = UVLosses()
    if dist.get_rank():
        boxes, dense = torch.zeros(0, 4), DensePoseInstances.empty()
    else:
        boxes, dense = random_instances([9, 4])
    maps = random_maps(len(boxes))
    for values in maps.values():
        values.requires_grad_()
    found = losses(maps, 16, boxes, dense)
    sum(v for k, v in found.items() if k.startswith('loss_')).backward()
    has_gradients = all(v.grad is not None for v in maps.values())
    return {k: v.item() for k, v in found.items()}, has_gradients


def test_a_rank_without_people(ranks):
    (with_people, _), (without, has_gradients) = ranks(2)(
        losses_of_a_rank_without_people
    )
    assert has_gradients  # else DDP would wait for ever
    assert with_people.keys() == without.keys()
    assert set(without.values()) == {0}
    # Halved by DDP's average: so the sum over ranks is what counts.
    boxes, dense = random_instances([9, 4])
    alone = UVLosses()(random_maps(2), 16, boxes, dense)
    assert with_people['loss_u'] == pytest.approx(
        2 * alone['loss_u'].item(), rel=1e-5
    )
