import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.structures import InstanceData
from torch import Tensor

from mmdense.densepose.structures import DensePoseInstances

FIELDS = tuple(DensePoseInstances.__dataclass_fields__)


def people(counts: list[int], seed: int = 0) -> DensePoseInstances:
    """People with so many points each, part masks where the count is odd."""
    rng = np.random.default_rng(seed)
    n, p = len(counts), sum(counts)

    def real(*shape: int) -> Tensor:
        return torch.from_numpy(rng.random(shape).astype(np.float32))

    has_mask = torch.tensor([count % 2 == 1 for count in counts]).bool()
    masks = torch.from_numpy(
        rng.integers(0, 15, (n, 256, 256)).astype(np.uint8)
    )
    return DensePoseInstances(
        num_points=torch.tensor(counts, dtype=torch.int64),
        xy=100 * real(p, 2),
        part=torch.from_numpy(rng.integers(1, 25, p)),
        uv=real(p, 2),
        mirrored_part=torch.from_numpy(rng.integers(1, 25, p)),
        mirrored_uv=real(p, 2),
        is_visible=real(p) > 0.3,
        part_masks=masks * has_mask[:, None, None],
        has_part_mask=has_mask,
        mask_to_image=torch.eye(3) + 0.1 * real(n, 3, 3),
    )


def as_lists(dense: DensePoseInstances) -> list[dict]:
    """One dict a person, the plain form that indexing is checked against."""
    names = ('xy', 'part', 'uv', 'mirrored_part', 'mirrored_uv', 'is_visible')
    points = {
        name: getattr(dense, name).split(dense.num_points.tolist())
        for name in names
    }
    whole = ('has_part_mask', 'mask_to_image')
    return [
        {
            **{name: points[name][i].tolist() for name in names},
            **{name: getattr(dense, name)[i].tolist() for name in whole},
            'part_mask': dense.part_masks[i].numpy().tobytes(),
        }
        for i in range(len(dense))
    ]


COUNTS = st.lists(st.integers(0, 6), min_size=1, max_size=5)


@given(COUNTS, st.data())
def test_indexing_takes_whole_people(counts, data):
    dense = people(counts)
    expected = as_lists(dense)
    n = len(counts)
    places = data.draw(st.lists(st.integers(-n, n - 1), max_size=6))
    chosen = [expected[place] for place in places]
    for index in (places, np.array(places), torch.tensor(places)):
        assert as_lists(dense[index]) == chosen
    mask = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    chosen = [expected[i] for i in range(n) if mask[i]]
    for index in (mask, np.array(mask), torch.tensor(mask)):
        assert as_lists(dense[index]) == chosen
    assert as_lists(dense[n - 1]) == expected[-1:]
    assert as_lists(dense[-1]) == expected[-1:]
    assert as_lists(dense[1:]) == expected[1:]
    assert as_lists(dense[: n - 1 : 2]) == expected[: n - 1 : 2]


def test_index_out_of_range():
    dense = people([1, 2])
    for index in (2, [0, -3], torch.tensor([True])):
        with pytest.raises(IndexError):
            dense[index]


@given(COUNTS, COUNTS)
def test_cat(first, second):
    one, two = people(first), people(second, seed=1)
    joined = DensePoseInstances.cat([one, two])
    assert as_lists(joined) == as_lists(one) + as_lists(two)
    assert joined.instance.tolist() == [
        i for i, count in enumerate(first + second) for _ in range(count)
    ]


def test_cat_of_nothing():
    with pytest.raises(ValueError, match='nothing to concatenate'):
        DensePoseInstances.cat([])
    both = DensePoseInstances.cat([DensePoseInstances.empty(2), people([3])])
    assert both.num_points.tolist() == [0, 0, 3]


def test_mirrored_labels_are_known_if_all_are():
    known = people([3])
    unknown = replace(people([2]), mirrored_part=None, mirrored_uv=None)
    assert DensePoseInstances.cat([known, unknown]).mirrored_part is None
    # Who has no points has nothing to know.
    nobody = replace(people([0]), mirrored_part=None, mirrored_uv=None)
    joined = DensePoseInstances.cat([nobody, known])
    assert joined.mirrored_part.equal(known.mirrored_part)
    nobody.transformed(np.diag([-1, 1, 1]))
    with pytest.raises(ValueError, match='symmetry of their surface'):
        unknown.transformed(np.diag([-1, 1, 1]))


def test_lives_in_instance_data():
    data = InstanceData(densepose=people([3, 0, 2, 1]))
    expected = as_lists(data.densepose)
    chosen = data[torch.tensor([True, False, True, True])]
    assert as_lists(chosen.densepose) == [expected[i] for i in (0, 2, 3)]
    chosen = data[torch.tensor([2, 0])]
    assert as_lists(chosen.densepose) == [expected[i] for i in (2, 0)]
    assert len(data[torch.zeros(4, dtype=torch.bool)].densepose) == 0
    joined = InstanceData.cat([data, chosen])
    assert as_lists(joined.densepose) == expected + as_lists(chosen.densepose)
    moved = data.to('cpu', torch.float32)
    assert as_lists(moved.densepose) == expected


def test_copies():
    dense = people([3, 2])
    assert copy.deepcopy(dense).xy is dense.xy
    assert as_lists(pickle.loads(pickle.dumps(dense))) == as_lists(dense)
    half = dense.to(torch.float16)
    assert half.xy.dtype == torch.float16
    assert half.part.dtype == torch.int64
    assert half.is_visible.dtype == torch.bool


def test_transform_moves_points_and_masks():
    dense = people([4, 3])
    matrix = np.array([[2, 0.5, 10], [-0.25, 3, -7], [1e-4, 2e-4, 1]])
    moved = dense.transformed(matrix)
    points = np.concatenate((dense.xy.double(), np.ones((7, 1))), axis=1)
    expected = points @ matrix.T
    np.testing.assert_allclose(
        moved.xy, expected[:, :2] / expected[:, 2:], rtol=1e-6
    )
    np.testing.assert_allclose(
        moved.mask_to_image, matrix @ dense.mask_to_image.numpy(), rtol=1e-5
    )
    assert moved.part.equal(dense.part)
    assert moved.part_masks.equal(dense.part_masks)


@pytest.mark.parametrize(
    ('matrix', 'mirrors'),
    [
        (np.diag([-1, 1, 1]), True),
        (np.diag([1, -1, 1]), True),
        (np.diag([-1, -1, 1]), False),
        (np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), True),
        (np.array([[0, -1, 9], [1, 0, 0], [0, 0, 1]]), False),
    ],
)
def test_what_turns_the_image_over_swaps_left_and_right(matrix, mirrors):
    dense = people([4, 3])
    moved = dense.transformed(matrix)
    part = dense.mirrored_part if mirrors else dense.part
    uv = dense.mirrored_uv if mirrors else dense.uv
    assert moved.part.equal(part)
    assert moved.uv.equal(uv)
    # Coarse part 2 is the right hand, 3 the left.
    right = 3 if mirrors else 2
    assert (moved.part_masks == right).equal(dense.part_masks == 2)
    back = moved.transformed(np.linalg.inv(matrix))
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(back, name), getattr(dense, name), rtol=1e-6, atol=1e-5
        )


def test_what_is_cut_off_stays_cut_off():
    dense = people([4, 5, 0])
    cut = dense.cut_to(60, 50)
    inside = dense.is_visible & (dense.xy[:, 0] < 50) & (dense.xy[:, 1] < 60)
    assert cut.is_visible.equal(inside)
    assert cut.xy.equal(dense.xy)
    again = cut.transformed(np.diag([0.1, 0.1, 1])).cut_to(60, 50)
    assert again.is_visible.equal(inside)
    kept = cut.visible()
    assert len(kept) == 3
    assert kept.xy.equal(dense.xy[inside])
    assert kept.num_points.tolist() == [
        int(inside[:4].sum()),
        int(inside[4:].sum()),
        0,
    ]
    assert kept.has_points.tolist() == [n > 0 for n in kept.num_points]
