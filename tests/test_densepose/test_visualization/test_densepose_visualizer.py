import numpy as np
import pytest
import torch
from matplotlib.image import imread
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmdense.densepose.structures import DensePoseInstances
from mmdense.densepose.visualization import DensePoseVisualizer, drawing

HEIGHT, WIDTH = 120, 160
POINTS = [[30.5, 40.5], [100.5, 20.5]]


def sample() -> DetDataSample:
    """One person with two points and a torso on the left half of a box."""
    masks = np.zeros((1, 256, 256), np.uint8)
    masks[:, :, :128] = 1
    # The box is 20, 10, 84, 74: four mask pixels a pixel.
    dense = DensePoseInstances(
        num_points=torch.tensor([2]),
        xy=torch.tensor(POINTS),
        part=torch.tensor([3, 24]),
        uv=torch.tensor([[0.0, 1.0], [1.0, 0.5]]),
        mirrored_part=None,
        mirrored_uv=None,
        is_visible=torch.ones(2).bool(),
        part_masks=torch.from_numpy(masks),
        has_part_mask=torch.tensor([True]),
        mask_to_image=torch.tensor(
            [[[0.25, 0, 20], [0, 0.25, 10], [0, 0, 1]]]
        ),
    )
    instances = InstanceData(
        bboxes=HorizontalBoxes([[20.0, 10, 84, 74]]),
        labels=torch.tensor([0]),
        densepose=dense,
    )
    return DetDataSample(gt_instances=instances)


def draw(tmp_path, **settings) -> np.ndarray:
    painter = DensePoseVisualizer(point_radius=3, **settings)
    painter.dataset_meta = {'classes': ('person',), 'palette': [(255, 0, 0)]}
    image = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    file = tmp_path / 'picture.png'
    painter.add_datasample(
        'x', image, sample(), draw_pred=False, out_file=str(file)
    )
    return (imread(file)[..., :3] * 255).round().astype(int)


def test_panels(tmp_path):
    picture = draw(tmp_path)
    assert picture.shape == (HEIGHT, 4 * WIDTH + 3 * 4, 3)
    _, parts, u, v = (
        picture[:, i * (WIDTH + 4) :][:, :WIDTH] for i in range(4)
    )
    low, middle, high = drawing.value_colors(np.array([0, 0.5, 1]))
    expected = {
        'parts': (parts, drawing.PART_COLORS[[3, 24]]),
        'u': (u, (low, high)),
        'v': (v, (high, middle)),
    }
    for panel, colors in expected.values():
        for (x, y), color in zip(POINTS, colors, strict=True):
            assert np.abs(panel[int(y), int(x)] - color).max() <= 1
    # The part mask: its left half only, and only in its panel.
    torso = parts[60, 25]
    blend = 0.4 * 90 + 0.6 * drawing.SEGM_COLORS[1]
    assert np.abs(torso - blend).max() <= 1
    assert (parts[60, 55] == 90).all()
    assert (u[60, 25] == 90).all()


def test_choice_of_panels(tmp_path):
    assert draw(tmp_path, panels=['U']).shape == (HEIGHT, WIDTH, 3)
    for wrong in ([], ['u'], ['parts', 'points']):
        with pytest.raises(ValueError, match='panels must be some of boxes'):
            DensePoseVisualizer(panels=wrong)


def test_without_dense_annotations(tmp_path):
    """As mmdet draws it: one picture, of the size of the image."""
    plain = sample()
    del plain.gt_instances.densepose
    plain.gt_instances.bboxes = plain.gt_instances.bboxes.tensor
    painter = DensePoseVisualizer()
    image = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    file = tmp_path / 'plain.png'
    painter.add_datasample(
        'x', image, plain, draw_pred=False, out_file=str(file)
    )
    assert imread(file).shape[:2] == (HEIGHT, WIDTH)


def test_placed_labels():
    """A turned mask: each pixel has the label its center falls on."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 15, (16, 16)).astype(np.uint8)
    labels = labels.repeat(16, 0).repeat(16, 1)
    matrix = np.array([[0.3, -0.1, 40], [0.15, 0.25, 5], [0, 0, 1]])
    placed = drawing.place_labels(labels, matrix, HEIGHT, WIDTH)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    centers = np.stack((xs, ys, np.ones_like(xs)))
    x, y, _ = np.einsum('ij,jhw->ihw', np.linalg.inv(matrix), centers)
    inside = (x >= 0) & (x < 256) & (y >= 0) & (y < 256)
    column = np.floor(x).clip(0, 255).astype(int)
    row = np.floor(y).clip(0, 255).astype(int)
    expected = np.where(inside, labels[row, column], 0)
    # OpenCV rounds coordinates to 1/32 of a pixel.
    assert (placed == expected).mean() > 0.99


def test_colors_differ():
    for colors in (drawing.PART_COLORS, drawing.SEGM_COLORS):
        gaps = np.abs(colors[:, None].astype(int) - colors).sum(-1)
        gaps[np.diag_indices(len(colors))] = 999
        assert gaps.min() > 25
        # Left and right of a limb are neighbours in number.
        assert np.diagonal(gaps, 1).min() > 100
