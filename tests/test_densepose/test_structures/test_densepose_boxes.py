import copy
import inspect

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes, get_box_type
from mmdet.structures.mask import BitmapMasks

from mmdense.densepose.structures import DensePoseBoxes, DensePoseInstances
from tests.test_densepose.test_structures.test_densepose_instances import (
    as_lists,
    people,
)

BOXES = torch.tensor(
    [[10.0, 5, 60, 80], [30, 20, 90, 70], [0, 0, 40, 99], [50, 40, 99, 90]]
)
COUNTS = [3, 0, 2, 5]


@pytest.fixture
def boxes():
    return DensePoseBoxes(BOXES.clone(), people(COUNTS))


# What makes boxes out of boxes: a call for each, and which people come out.
KEEP = {
    'clone': (lambda b: b.clone(), [0, 1, 2, 3]),
    'detach': (lambda b: b.detach(), [0, 1, 2, 3]),
    'to': (lambda b: b.to('cpu'), [0, 1, 2, 3]),
    'cpu': (lambda b: b.cpu(), [0, 1, 2, 3]),
    '__deepcopy__': (copy.deepcopy, [0, 1, 2, 3]),
    '__getitem__': (
        lambda b: b[np.array([True, False, True, True])],
        [0, 2, 3],
    ),
    'split': (lambda b: b.split([1, 3])[1], [1, 2, 3]),
    'chunk': (lambda b: b.chunk(2)[1], [2, 3]),
    'cat': (lambda b: b.cat([b[[2, 1]], b[:2]], 0), [2, 1, 0, 1]),
    'empty_boxes': (lambda b: b.empty_boxes(), []),
}
# What mmdet's box types also offer, and no transform of dense points can use.
REFUSE = {
    '__setitem__': lambda b: b.__setitem__(0, b[0]),
    'fake_boxes': lambda b: b.fake_boxes((4, 4)),
    'view': lambda b: b.view(2, 2, 4),
    'reshape': lambda b: b.reshape(4, 1, 4),
    'expand': lambda b: b.unsqueeze(0).expand(2, 4, 4),
    'repeat': lambda b: b.repeat(2, 1),
    'transpose': lambda b: b.transpose(0, 0),
    'permute': lambda b: b.permute(0, 1),
    'flatten': lambda b: b.flatten(0, 0),
    'squeeze': lambda b: b.squeeze(0),
    'unsqueeze': lambda b: b.unsqueeze(0),
    'stack': lambda b: b.stack([b, b]),
    'from_instance_masks': lambda b: b.from_instance_masks(
        BitmapMasks(np.ones((4, 9, 9), np.uint8), 9, 9)
    ),
}
# What makes no boxes, or is tested below.
OTHER = {
    '__init__', '__len__', '__repr__', 'areas', 'centers', 'clip_',
    'convert_to', 'corner2hbox', 'create_masks', 'cuda', 'cxcywh',
    'cxcywh_to_xyxy', 'device', 'dim', 'dtype', 'find_inside_points', 'flip_',
    'hbox2corner', 'heights', 'is_inside', 'new_empty', 'new_full', 'new_ones',
    'new_tensor', 'new_zeros', 'numel', 'numpy', 'overlaps', 'project_',
    'rescale_', 'resize_', 'rotate_', 'shape', 'size', 'translate_', 'unbind',
    'widths', 'xyxy_to_cxcywh',
}  # fmt: skip


def test_every_method_of_the_host_is_accounted_for():
    """A method that mmdet adds could rebuild boxes without their points."""
    methods = {
        name
        for cls in HorizontalBoxes.__mro__[:-1]
        for name, value in vars(cls).items()
        if isinstance(value, property) or inspect.isroutine(value)
    }
    assert methods <= {*KEEP, *REFUSE, *OTHER}


@pytest.mark.parametrize('name', KEEP)
def test_people_stay_with_their_boxes(name, boxes):
    call, rows = KEEP[name]
    expected = as_lists(boxes.dense)
    result = call(boxes)
    assert type(result) is DensePoseBoxes
    assert result.tensor.equal(BOXES[rows])
    assert as_lists(result.dense) == [expected[row] for row in rows]


@pytest.mark.parametrize('name', REFUSE)
def test_what_would_lose_points_is_refused(name, boxes):
    with pytest.raises(ValueError, match=r'lose or misalign the\s+points'):
        REFUSE[name](boxes)


@pytest.mark.parametrize('index', [2, [1, 0], slice(1, 3), np.array([3])])
def test_index(index, boxes):
    chosen = boxes[index]
    assert chosen.tensor.equal(HorizontalBoxes(BOXES)[index].tensor)
    assert as_lists(chosen.dense) == as_lists(boxes.dense[index])


def test_needs_dense_annotations():
    assert len(DensePoseBoxes([]).dense) == 0
    assert len(DensePoseBoxes(torch.zeros(0, 4)).dense) == 0
    with pytest.raises(ValueError, match='without the dense annotations'):
        DensePoseBoxes(BOXES)
    with pytest.raises(ValueError, match='dense annotations of 2'):
        DensePoseBoxes(BOXES, DensePoseInstances.empty(2))


def test_joining_with_plain_boxes(boxes):
    with pytest.raises(ValueError, match='joined with HorizontalBoxes'):
        boxes.cat([boxes, HorizontalBoxes(BOXES)])


def test_is_a_box_type_of_mmdet(boxes):
    assert get_box_type('densepose') == ('densepose', DensePoseBoxes)
    plain = boxes.convert_to('hbox')
    assert type(plain) is HorizontalBoxes
    assert plain.tensor.equal(BOXES)
    overlaps = boxes.overlaps(boxes, HorizontalBoxes(BOXES))
    assert overlaps.diag().eq(1).all()


SIZE = (100, 120)
MATRIX = np.array([[0.9, -0.3, 12.0], [0.2, 1.1, -5.0], [0, 0, 1]])


@pytest.mark.parametrize(
    ('name', 'arguments'),
    [
        ('flip_', (SIZE, 'horizontal')),
        ('flip_', (SIZE, 'vertical')),
        ('flip_', (SIZE, 'diagonal')),
        ('translate_', ((3.5, -7),)),
        ('rescale_', ((0.5, 1.25),)),
        ('rotate_', ((30.0, 40.0), 25.0)),
        ('project_', (MATRIX,)),
        ('project_', (torch.from_numpy(MATRIX).float(),)),
        ('clip_', ((60, 70),)),
        ('resize_', ((0.5, 2.0),)),
    ],
)
def test_boxes_move_as_in_the_host(name, arguments, boxes):
    plain = HorizontalBoxes(BOXES.clone())
    getattr(plain, name)(*arguments)
    getattr(boxes, name)(*arguments)
    assert boxes.tensor.equal(plain.tensor)


def test_points_move(boxes):
    before = boxes.dense.xy.clone()
    boxes.flip_(SIZE)
    boxes.translate_((3, 5))
    boxes.rescale_((2, 0.5))
    expected = torch.stack(
        ((120 - before[:, 0] + 3) * 2, (before[:, 1] + 5) / 2), dim=1
    )
    np.testing.assert_allclose(boxes.dense.xy, expected, rtol=1e-5)


def test_points_turn_about_centers_of_pixels(boxes):
    """OpenCV's matrices put (0, 0) at the center of the first pixel."""
    boxes.dense = boxes.dense.transformed(np.zeros((3, 3)) + np.eye(3))
    before = boxes.dense.xy.clone()
    quarter = np.array([[0, -1, 99], [1, 0, 0], [0, 0, 1]])  # of 100 x 100
    boxes.project_(quarter)
    expected = torch.stack((100 - before[:, 1], before[:, 0]), dim=1)
    np.testing.assert_allclose(boxes.dense.xy, expected, atol=1e-4)


@pytest.mark.parametrize('asked', [True, False])
def test_clipping_marks_points(asked, boxes):
    expected = boxes.dense.cut_to(60, 70).is_visible
    boxes.is_inside((60, 70)) if asked else boxes.clip_((60, 70))
    assert boxes.dense.is_visible.equal(expected)
    assert not expected.all()


def test_resizing_boxes_alone_leaves_points(boxes):
    """`resize_` is no transform of the image: boxes grow about centers."""
    before = boxes.dense
    boxes.resize_((2.0, 2.0))
    assert boxes.dense is before
