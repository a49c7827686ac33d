"""From heat maps to the pixels of boxes, against detectron2's converters."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmdense.densepose.functional.iuv import (
    label_pixels,
    read_parts,
    resize_map,
)
from mmdense.densepose.roi_heads import UVHead
from tests import golden
from tests.golden_densepose import hash01

CASES = golden.read_json('densepose/post_cases.json') or {'cases': []}
OURS = {'coarse_segm': 'coarse', 'fine_segm': 'part', 'u': 'u', 'v': 'v'}

pytestmark = pytest.mark.golden


def waves(count, channels, size, seed, offset, amplitude) -> np.ndarray:
    """A field by the rule in the README of the data, in float64."""
    q = hash01(count * channels * 6, seed).reshape(count, channels, 6)
    q = q[..., None, None].transpose(2, 0, 1, 3, 4)
    x = ((np.arange(size) + 0.5) / size)[None, :]
    y = x.reshape(-1, 1)
    tau = 2 * np.pi
    return (
        offset
        + amplitude
        * (0.4 + 0.6 * q[4])
        * np.sin(tau * ((0.3 + 2.2 * q[0]) * x + q[2]))
        * np.sin(tau * ((0.3 + 2.2 * q[1]) * y + q[3]))
        + 0.3 * amplitude * np.sin(tau * (q[5] + x + 2 * y))
    )


def fields_of(case) -> dict[str, torch.Tensor]:
    n, c, s, seed = case.N, case.C, case.S, case.seed
    fields = {
        'coarse_segm': waves(n, c, s, seed, 0, 1.2),
        'fine_segm': waves(n, 25, s, seed + 1, 0, 3),
        'u': waves(n, 25, s, seed + 2, 0.5, 0.6),
        'v': waves(n, 25, s, seed + 3, 0.5, 0.6),
    }
    fields['fine_segm'][:, 0] -= 1
    p = hash01(n * 4, seed + 9).reshape(n, 4).T[..., None, None]
    x = ((np.arange(s) + 0.5) / s)[None, :]
    y = x.reshape(-1, 1)
    person = 6 * (
        1
        - ((x - 0.45 - 0.1 * p[0]) / (0.3 + 0.15 * p[1])) ** 2
        - ((y - 0.45 - 0.1 * p[2]) / (0.38 + 0.12 * p[3])) ** 2
    )
    if c == 2:
        fields['coarse_segm'][:, 1] += person
    else:
        fields['coarse_segm'][:, 0] -= person
    if case.confidences:
        for i, (name, channels, offset, amplitude) in enumerate(
            (
                ('sigma_2', 25, 0, 1),
                ('kappa_u', 25, 0, 0.5),
                ('kappa_v', 25, 0, 0.5),
                ('fine_segm_confidence', 1, 1, 0.4),
                ('coarse_segm_confidence', 1, 1, 0.4),
            )
        ):
            fields[name] = waves(
                n, channels, s, seed + 4 + i, offset, amplitude
            )
    return {
        name: torch.from_numpy(values.astype(np.float32))
        for name, values in fields.items()
    }


@pytest.fixture(params=CASES['cases'], ids=lambda case: case['name'])
def case(request):
    case = SimpleNamespace(**request.param)
    case.arrays = golden.read_arrays(f'densepose/{case.name}.npz')
    case.fields = fields_of(case)
    for name, check in case.input_check.items():
        values = case.fields[name].numpy().reshape(-1)
        np.testing.assert_allclose(
            values[:3], check['first'], rtol=1e-5, atol=1e-6
        )
    return case


def test_iuv(case):
    maps = {OURS[name]: case.fields[name] for name in OURS}
    boxes = torch.from_numpy(case.arrays['boxes'])
    found = UVHead.make_iuvs(maps, boxes)
    assert len(found) == case.N
    for i, iuv in enumerate(found):
        expected = case.arrays[f'quantized_{i}'].astype(int)
        assert iuv.dtype == torch.uint8
        assert tuple(iuv.shape) == expected.shape
        iuv = iuv.numpy().astype(int)
        differs = iuv[0] != expected[0]
        assert differs.sum() <= case.pixels_with_margin_below_1e_4[i]
        values = np.abs(iuv[1:] - expected[1:])[:, ~differs]
        assert values.max(initial=0) <= 1
        assert (values > 0).mean() < 0.01  # near ties of rounding


def test_labels_and_values(case):
    for i in range(case.N):
        height, width = case.arrays[f'quantized_{i}'].shape[1:]
        labels = label_pixels(
            case.fields['coarse_segm'][i],
            case.fields['fine_segm'][i],
            height,
            width,
        )
        certain = labels.numpy() == case.arrays[f'quantized_{i}'][0]
        uv = np.stack(
            [read_parts(case.fields[n][i], labels).numpy() for n in 'uv']
        )
        expected = case.arrays[f'uv_{i}']
        step = -(-height // expected.shape[1])
        certain_here = certain[::step, ::step]
        np.testing.assert_allclose(
            uv[:, ::step, ::step][:, certain_here],
            expected[:, certain_here],
            atol=1e-5,
        )
        if case.confidences:
            for name in ('sigma_2', 'kappa_u', 'kappa_v'):
                values = read_parts(case.fields[name][i], labels).numpy()
                is_part = certain & (labels.numpy() > 0)
                np.testing.assert_allclose(
                    values[is_part],
                    case.arrays[f'{name}_{i}'][is_part],
                    atol=1e-5,
                )
            for name in ('fine_segm_confidence', 'coarse_segm_confidence'):
                values = resize_map(case.fields[name][i], height, width)[0]
                np.testing.assert_allclose(
                    values, case.arrays[f'{name}_{i}'], atol=1e-5
                )
