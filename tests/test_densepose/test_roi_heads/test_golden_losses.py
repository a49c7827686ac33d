"""The losses in their legacy form against detectron2's."""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmdense.densepose.functional.heat_maps import locate_points
from mmdense.densepose.functional.part_mask_targets import sample_part_masks
from mmdense.densepose.roi_heads.uv_losses import UVLosses
from mmdense.densepose.structures import DensePoseInstances
from tests import golden
from tests.golden_densepose import filled

CASES = golden.read_json('densepose/loss_cases.json') or {'cases': []}
NAMES = {
    'coarse_segm': 'coarse',
    'fine_segm': 'part',
    'u': 'u',
    'v': 'v',
    'sigma_2': 'sigma_2',
    'kappa_u': 'kappa_u',
    'kappa_v': 'kappa_v',
}
TASKS = {'U': 'u', 'V': 'v', 'UV': 'uv', 'I': 'part', 'S': 'coarse'}
LOSSES = {
    None: dict(type='mmdense.DensePointsLoss', reduction='sum'),
    'iid_iso': dict(
        type='mmdense.ConfidentPointsLoss',
        confidence='isotropic',
        reduction='sum',
    ),
    'indep_aniso': dict(
        type='mmdense.ConfidentPointsLoss',
        confidence='anisotropic',
        reduction='sum',
    ),
}

pytestmark = pytest.mark.golden


@pytest.fixture(params=CASES['cases'], ids=lambda case: case['name'])
def case(request):
    info = request.param
    return SimpleNamespace(
        **info, arrays=golden.read_arrays(f'densepose/{info["file"]}')
    )


def instances(arrays: dict, dtype: torch.dtype) -> DensePoseInstances:
    """The annotations of a case, one person for each RoI."""
    boxes = torch.from_numpy(arrays['gt_boxes']).to(dtype)
    roi = torch.from_numpy(arrays['pt_roi']).long()
    frame = torch.stack(
        [torch.from_numpy(arrays[f'dp_{axis}']).to(dtype) for axis in 'xy'], 1
    )
    extent = boxes[:, 2:] - boxes[:, :2]
    to_image = torch.eye(3, dtype=torch.float64).repeat(len(boxes), 1, 1)
    to_image[:, [0, 1], [0, 1]] = extent.double() / 256
    to_image[:, :2, 2] = boxes[:, :2].double()
    return DensePoseInstances(
        num_points=roi.bincount(minlength=len(boxes)),
        xy=boxes[roi, :2] + frame * extent[roi] / 256,
        part=torch.from_numpy(arrays['dp_I']).long(),
        uv=torch.stack(
            [torch.from_numpy(arrays[f'dp_{name}']) for name in 'UV'], 1
        ).to(dtype),
        mirrored_part=None,
        mirrored_uv=None,
        is_visible=torch.ones(len(roi), dtype=torch.bool),
        part_masks=torch.from_numpy(arrays['segm']),
        has_part_mask=torch.from_numpy(arrays['has_segm']),
        mask_to_image=to_image,
    )


def instance_masks(case) -> torch.Tensor | None:
    """By RoIAlign of each bitmask, as detectron2 crops them."""
    if not case.coarse_by_instance_masks:
        return None
    import torchvision

    masks = torch.from_numpy(case.arrays['gt_bitmasks']).float()[:, None]
    boxes = torch.from_numpy(case.arrays['proposal_boxes'])
    rois = torch.cat((torch.arange(len(boxes))[:, None], boxes), dim=1)
    size = case.heatmap_size
    return (
        torchvision.ops.roi_align(masks, rois, size, aligned=True)[:, 0] >= 0.5
    )


def maps_of(case, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {
        NAMES[name]: filled(**fill).to(dtype).requires_grad_()
        for name, fill in case.predictor_fill.items()
    }


def losses_of(case, maps: dict, dtype: torch.dtype) -> dict:
    points = LOSSES[case.uv_confidence]
    if case.epsilon is not None:
        points = dict(points, epsilon=case.epsilon)
    weights = case.weights
    losses = UVLosses(
        points,
        dict(
            type='mmdense.StaticBalancer',
            weights=dict(
                coarse=weights['INDEX_WEIGHTS'],
                part=weights['PART_WEIGHTS'],
                uv=weights['POINT_REGRESSION_WEIGHTS'],
            ),
        ),
        coarse_from='instance_masks'
        if case.coarse_by_instance_masks
        else 'part_masks',
        legacy_alignment=True,
        legacy_batch_rules=True,
    )
    found = losses(
        maps,
        case.heatmap_size,
        torch.from_numpy(case.arrays['proposal_boxes']).to(dtype),
        instances(case.arrays, dtype),
        instance_masks(case),
    )
    return {
        letter: found[f'loss_{task}']
        for letter, task in TASKS.items()
        if f'loss_{task}' in found
    }


def test_there_are_cases():
    if golden.FOLDER.joinpath('densepose').is_dir():
        assert CASES['cases']


def test_losses(case):
    found = losses_of(case, maps_of(case, torch.float32), torch.float32)
    expected = {
        key.removeprefix('loss_densepose_'): value
        for key, value in case.losses.items()
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, rel=1e-5), name


def test_losses_in_float64(case):
    found = losses_of(case, maps_of(case, torch.float64), torch.float64)
    for key, value in case.losses_float64_by_hand.items():
        name = key.removeprefix('loss_densepose_')
        assert found[name].item() == pytest.approx(value, rel=1e-10), name


def test_gradients(case):
    maps = maps_of(case, torch.float32)
    found = losses_of(case, maps, torch.float32)
    compared = 0
    for key, stats in case.grads.items():
        loss, tensor = key.removeprefix('loss_densepose_').split('/')
        (gradient,) = torch.autograd.grad(
            found[loss], maps[NAMES[tensor]], retain_graph=True
        )
        gradient = gradient.numpy()
        size = np.abs(gradient).max()
        name = f'g_{loss}_{tensor}'
        arrays = case.arrays
        if f'{name}_idx' in arrays:
            expected = arrays[f'{name}_val']
            values = gradient.reshape(-1)[arrays[f'{name}_idx']]
            np.testing.assert_allclose(values, expected, atol=1e-5 * size)
            compared += 1
        if f'{name}_chansum' in arrays:
            sums = gradient.sum((2, 3))
            expected = arrays[f'{name}_chansum']
            np.testing.assert_allclose(
                sums, expected, atol=1e-5 * np.abs(sums).max()
            )
        if f'{name}_slice' in arrays:
            expected = arrays[f'{name}_slice']
            step = math.ceil(gradient.shape[-1] / expected.shape[-1])
            np.testing.assert_allclose(
                gradient[..., ::step, ::step], expected, atol=1e-5 * size
            )
            compared += 1
        l2 = np.sqrt(np.square(gradient, dtype=np.float64).sum())
        assert l2 == pytest.approx(stats['l2'], rel=1e-5)
        assert np.count_nonzero(gradient) == pytest.approx(
            stats['nonzero'], abs=0.001 * gradient.size
        )
    assert compared or not case.grads


def test_cells_that_points_read(case):
    arrays = case.arrays
    if 'it_j_valid' not in arrays:
        pytest.skip('a case without points')
    annotated = instances(arrays, torch.float32)
    found = locate_points(
        annotated.xy,
        annotated.instance,
        torch.from_numpy(arrays['proposal_boxes']),
        case.heatmap_size,
        legacy_alignment=True,
    )
    inside = arrays['it_j_valid']
    np.testing.assert_array_equal(found.is_inside.numpy(), inside)
    np.testing.assert_array_equal(found.roi, arrays['it_roi'])
    found = found[torch.from_numpy(inside)]
    weights = (
        found.row_weights[:, :, None] * found.column_weights[:, None]
    ).numpy()
    for i, row in enumerate(('ylo', 'yhi')):
        for j, column in enumerate(('xlo', 'xhi')):
            expected = arrays[f'it_w_{row}_{column}'][inside]
            np.testing.assert_allclose(weights[:, i, j], expected, atol=1e-4)
    for axis, cells, fraction in (
        ('y', found.rows, found.row_weights),
        ('x', found.columns, found.column_weights),
    ):
        # Rounding decides which of two cells is the one with no weight.
        is_clear = (fraction > 1e-4).all(1).numpy()
        for k, side in enumerate(('lo', 'hi')):
            expected = arrays[f'it_{axis}_{side}'][inside]
            np.testing.assert_array_equal(
                cells[:, k].numpy()[is_clear], expected[is_clear]
            )


def test_part_masks(case):
    arrays = case.arrays
    if 'coarse_target' not in arrays:
        pytest.skip('a case without part masks')
    rows = torch.from_numpy(arrays['coarse_target_roi']).long()
    annotated = instances(arrays, torch.float64)[rows]
    boxes = torch.from_numpy(arrays['proposal_boxes'])[rows].double()
    # Rounding decides for a cell that is on the border of two pixels.
    moves = [(0, 0), *product((-1e-4, 1e-4), repeat=2)]
    found = [
        sample_part_masks(
            annotated.part_masks,
            annotated.mask_to_image,
            boxes + boxes.new_tensor([x, y, x, y]),
            case.heatmap_size,
            legacy_alignment=True,
        ).numpy()
        for x, y in moves
    ]
    is_equal = np.stack(found) == arrays['coarse_target']
    assert is_equal.any(0).all()
    assert is_equal[0].mean() > 0.999
