"""Labels of cells, by a loop over cells and by mirror images."""

import numpy as np
import pytest
import torch

from mmdense.densepose.functional.part_mask_targets import sample_part_masks

SIZE = 28


def frame_matrix(box) -> torch.Tensor:
    x1, y1, x2, y2 = box
    return torch.tensor(
        [[(x2 - x1) / 256, 0, x1], [0, (y2 - y1) / 256, y1], [0, 0, 1]]
    ).double()


@pytest.fixture
def masks() -> torch.Tensor:
    # Labels in blocks, so that being a pixel off is seen at their borders.
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 15, (2, 32, 32), dtype=np.uint8)
    return torch.from_numpy(blocks.repeat(8, 1).repeat(8, 2))


ANNOTATED = ((10.5, 20.0, 75.25, 140.0), (100.0, 30.0, 180.0, 70.0))
ROIS = ((5.0, 30.0, 70.0, 150.0), (110.0, 25.5, 200.0, 66.0))


def test_against_a_loop(masks):
    found = sample_part_masks(
        masks,
        torch.stack([frame_matrix(box) for box in ANNOTATED]),
        torch.tensor(ROIS),
        SIZE,
    )
    expected = np.zeros((2, SIZE, SIZE))
    for n, ((ax1, ay1, ax2, ay2), (x1, y1, x2, y2)) in enumerate(
        zip(ANNOTATED, ROIS, strict=True)
    ):
        for i in range(SIZE):
            for j in range(SIZE):
                x = x1 + (j + 0.5) / SIZE * (x2 - x1)
                y = y1 + (i + 0.5) / SIZE * (y2 - y1)
                if ax1 <= x < ax2 and ay1 <= y < ay2:
                    column = int((x - ax1) / (ax2 - ax1) * 256)
                    row = int((y - ay1) / (ay2 - ay1) * 256)
                    expected[n, i, j] = masks[n, row, column]
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize('legacy_alignment', [False, True])
def test_a_mirrored_image(masks, legacy_alignment):
    width = 256
    to_image = torch.stack([frame_matrix(box) for box in ANNOTATED])
    flip = torch.tensor([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]]).double()
    rois = torch.tensor(ROIS)
    mirrored = torch.stack(
        (width - rois[:, 2], rois[:, 1], width - rois[:, 0], rois[:, 3]), 1
    )
    plain, flipped = (
        sample_part_masks(masks, matrix, boxes, SIZE, legacy_alignment)
        for matrix, boxes in ((to_image, rois), (flip @ to_image, mirrored))
    )
    share = (flipped.flip(2) == plain).double().mean()
    if legacy_alignment:  # its grid is not symmetric
        assert share < 1
    else:
        assert share == 1


def test_no_masks():
    found = sample_part_masks(
        torch.zeros(0, 256, 256, dtype=torch.uint8),
        torch.zeros(0, 3, 3),
        torch.zeros(0, 4),
        SIZE,
    )
    assert found.shape == (0, SIZE, SIZE)
