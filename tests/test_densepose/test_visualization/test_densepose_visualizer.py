import numpy as np
import pytest
import torch
from matplotlib.image import imread, imsave
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mmdense.densepose.structures import DensePoseInstances, DensePoseResults
from mmdense.densepose.visualization import (
    DensePoseVisualizer,
    drawing,
    textures,
)
from mmdense.densepose.visualization.shrinking import shrink_people

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
    # A texture is for predictions.
    picture = draw(tmp_path, panels=['texture', 'image'])
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert (draw(tmp_path, panels=['texture']) == 90).all()
    for wrong in ([], ['u'], ['parts', 'points']):
        with pytest.raises(ValueError, match='panels must be some of image'):
            DensePoseVisualizer(panels=wrong)


def prediction() -> DetDataSample:
    """Two people, one behind the other and partly out of the image."""
    front = np.tile(np.uint8([[[3]], [[0]], [[255]]]), (1, 40, 30))
    front[:, :10] = 0  # not of the person
    behind = np.tile(np.uint8([[[24]], [[255]], [[51]]]), (1, 60, 60))
    instances = InstanceData(
        bboxes=torch.tensor([[20.4, 10, 50.4, 50], [-15.0, -5, 45, 55]]),
        labels=torch.zeros(2, dtype=torch.int64),
        scores=torch.tensor([0.9, 0.6]),
        densepose=DensePoseResults([front, behind]),
    )
    return DetDataSample(pred_instances=instances)


def draw_prediction(tmp_path, **settings) -> np.ndarray:
    painter = DensePoseVisualizer(**settings)
    painter.dataset_meta = {'classes': ('person',), 'palette': [(255, 0, 0)]}
    image = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    file = tmp_path / 'picture.png'
    painter.add_datasample(
        'x', image, prediction(), draw_gt=False, out_file=str(file)
    )
    return (imread(file)[..., :3] * 255).round().astype(int)


def test_predictions(tmp_path):
    panels = ['image', 'parts', 'U', 'V', 'texture']
    picture = draw_prediction(tmp_path, panels=panels, dense_alpha=1.0)
    image, parts, u, v, texture = (
        picture[:, i * (WIDTH + 4) :][:, :WIDTH] for i in range(5)
    )
    assert (image[:100] == 90).all()
    low, fifth, high = drawing.value_colors(np.array([0, 0.2, 1]))
    # In front from the tenth row of its box on, behind around and above it.
    places = {(30, 30): (3, low, high), (15, 30): (24, high, fifth)}
    places[0, 0] = places[54, 44] = places[15, 30]
    for (y, x), (part, of_u, of_v) in places.items():
        assert np.abs(parts[y, x] - drawing.PART_COLORS[part]).max() <= 1
        assert np.abs(u[y, x] - of_u).max() <= 1
        assert np.abs(v[y, x] - of_v).max() <= 1
    for panel in (parts, u, v, texture):
        assert (panel[55:100] == 90).all()
        assert (panel[:100, 51:] == 90).all()
    assert (texture[:55, :45] != 90).any(axis=2).all()


@pytest.mark.parametrize('what', ['annotated', 'predicted'])
def test_smaller_panels(tmp_path, what):
    """Boxes, masks, points and pixels are where they are in the large one."""
    panels = ['image', 'boxes', 'parts', 'V']
    paint = draw if what == 'annotated' else draw_prediction
    large = paint(tmp_path, panels=panels)
    small = paint(tmp_path, panels=panels, max_size=WIDTH // 2)
    assert paint(tmp_path, panels=panels, max_size=999).shape == large.shape
    half = HEIGHT // 2, WIDTH // 2
    assert small.shape == (half[0], 4 * half[1] + 3 * 4, 3)
    for i in (2, 3):
        expected = large[:, i * (WIDTH + 4) :][:, :WIDTH]
        found = small[:, i * (half[1] + 4) :][:, : half[1]]
        # Captions are at the bottom; they and discs have their own sizes.
        is_near = np.abs(expected[::2, ::2] - found)[:35].max(2) < 12
        assert is_near.mean() > 0.9
        assert (found[:35] != 90).any(2).mean() > 0.01
    with pytest.raises(ValueError, match='max_size must be'):
        DensePoseVisualizer(max_size=0)


def test_masks_of_smaller_panels():
    people = sample().gt_instances
    masks = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    masks[:, 20:60, 40:80] = 1
    people = InstanceData(
        bboxes=people.bboxes.tensor, densepose=people.densepose
    )
    for kind in (BitmapMasks(masks, HEIGHT, WIDTH), torch.tensor(masks) > 0):
        people.masks = kind
        found = shrink_people(people, (0.5, 0.25))
        assert found.bboxes.tolist() == [[10, 2.5, 42, 18.5]]
        expected = [[x / 2, y / 4] for x, y in POINTS]
        assert found.densepose.xy.tolist() == expected
        small = np.asarray(getattr(found.masks, 'masks', found.masks))
        rows, columns = small[0].nonzero()
        assert (rows.min(), rows.max()) == (5, 14)
        assert (columns.min(), columns.max()) == (20, 39)


def test_what_is_drawn_later_is_in_the_picture():
    painter = DensePoseVisualizer(panels=['parts'])
    painter.dataset_meta = {'classes': ('person',), 'palette': [(255, 0, 0)]}
    image = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    painter.add_datasample('x', image, prediction(), draw_gt=False)
    before = painter.get_image()
    painter.draw_bboxes(torch.tensor([[100.0, 20, 150, 90]]))
    after = painter.get_image()
    assert before.shape == after.shape
    changed = np.abs(after.astype(int) - before).max(2) > 50
    rows, columns = changed.nonzero()
    assert abs(rows.min() - 20) < 3
    assert abs(columns.max() - 150) < 3


@pytest.mark.parametrize(
    ('left', 'top', 'seen'),
    [
        (WIDTH - 10, HEIGHT - 5, (slice(-5, None), slice(-10, None))),
        (WIDTH + 5, 10, (slice(0), slice(0))),
        (-40, 10, (slice(0), slice(0))),
        (10, -35, (slice(0, 5), slice(10, 40))),
    ],
)
def test_what_is_outside_is_cut_off(left, top, seen):
    iuv = np.full((3, 40, 30), 7, np.uint8)
    box = np.array([[left, top, left + 30, top + 40]])
    placed = drawing.place_iuvs([iuv], box, HEIGHT, WIDTH)
    expected = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    expected[(slice(None), *seen)] = 7
    assert np.array_equal(placed, expected)


def test_nobody():
    placed = drawing.place_iuvs([], np.zeros((0, 4)), HEIGHT, WIDTH)
    assert placed.shape == (3, HEIGHT, WIDTH)
    assert not placed.any()


def test_half_seen_through(tmp_path):
    picture = draw_prediction(tmp_path, panels=['parts'], dense_alpha=0.5)
    expected = 45 + drawing.PART_COLORS[24] / 2
    assert np.abs(picture[0, 0] - expected).max() <= 1


def test_texture_of_a_file(tmp_path):
    """Squares of DensePose's atlas: numbered downwards, V from below."""
    atlas = np.zeros((6 * 20, 4 * 20, 3), np.uint8)
    rng = np.random.default_rng(0)
    squares = rng.integers(1, 256, (24, 20, 20, 3)).astype(np.uint8)
    for part in range(24):
        column, row = divmod(part, 6)
        atlas[row * 20 :, column * 20 :][:20, :20] = squares[part]
    file = tmp_path / 'atlas.png'
    imsave(file, atlas)
    texture = textures.read_atlas(file)
    assert np.array_equal(texture, squares)
    iuv = np.array(
        [[1, 24, 7, 0], [0, 255, 128, 50], [0, 255, 0, 50]], np.uint8
    )
    colors = textures.look_up(texture, iuv)
    assert np.array_equal(colors[0], squares[0, 19, 0])
    assert np.array_equal(colors[1], squares[23, 0, 19])
    assert np.array_equal(colors[2], squares[6, 19, 9])
    assert not colors[3].any()

    picture = draw_prediction(
        tmp_path, panels=['texture'], texture=str(file), dense_alpha=1.0
    )
    assert np.array_equal(picture[30, 30], squares[2, 0, 0])


def test_bad_textures(tmp_path):
    file = tmp_path / 'atlas.png'
    with pytest.raises(FileNotFoundError, match=r'atlas\.png does not exist'):
        DensePoseVisualizer(texture=str(file))
    file.write_text('no image')
    with pytest.raises(ValueError, match='not an image'):
        DensePoseVisualizer(texture=str(file))
    imsave(file, np.zeros((60, 60, 3), np.uint8))
    with pytest.raises(ValueError, match='60 x 60 px, expected 4 columns'):
        DensePoseVisualizer(texture=str(file))


def test_checkers():
    texture = textures.checkers(64, 8)
    assert texture.shape == (24, 64, 64, 3)
    # Squares of 8 texels; U = 0 is white, V = 0 (the last row) black.
    for part in (0, 23):
        assert (texture[part, :-2, :2] == 255).all()
        assert (texture[part, -2:] == 0).all()
        inside = texture[part, :62, 2:]
        light, dark = inside[3, 3], inside[3, 9]
        assert (
            np.abs(light - drawing.PART_COLORS[part + 1].astype(int)).max()
            <= 1
        )
        assert (dark < light).any()
        assert np.array_equal(inside[11, 9], light)


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
