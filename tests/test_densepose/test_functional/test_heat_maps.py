"""What points read, against PyTorch's resizing of whole maps."""

import pytest
import torch
import torch.nn.functional as F

from mmdense.densepose.functional.heat_maps import locate_points


def random_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('scale', [1, 2, 4])
def test_a_point_reads_what_its_pixel_gets_in_inference(scale):
    height, width, size = 37, 90, 8 * scale
    maps = random_maps(2, 3, 8, 8)
    large = maps
    if scale > 1:
        large = F.interpolate(maps, scale_factor=scale, mode='bilinear')
    resized = F.interpolate(large, (height, width), mode='bilinear')[1]
    y, x = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing='ij'
    )
    xy = torch.stack((x, y), -1).reshape(-1, 2).double() + 0.5
    boxes = torch.tensor([[0, 0, 5, 5], [11.25, -3, 11.25 + 90, 34]]).double()
    roi = torch.ones(len(xy), dtype=torch.int64)
    points = locate_points(xy + boxes[1, :2], roi, boxes, size, scale)
    assert points.is_inside.all()
    expected = resized.permute(1, 2, 0).reshape(-1, 3)
    torch.testing.assert_close(points.read(maps), expected)
    channel = torch.arange(len(xy)) % 3
    torch.testing.assert_close(
        points.read(maps, channel), expected.gather(1, channel[:, None])[:, 0]
    )


@pytest.mark.parametrize('legacy_alignment', [False, True])
def test_small_maps_are_read_as_their_enlargement(legacy_alignment):
    maps = random_maps(3, 2, 7, 7).requires_grad_()
    large = F.interpolate(maps, scale_factor=2, mode='bilinear')
    generator = torch.Generator().manual_seed(1)
    roi = torch.randint(3, (200,), generator=generator)
    corner = torch.rand(3, 2, generator=generator).double() * 50
    extent = torch.rand(3, 2, generator=generator).double() * 80 + 5
    boxes = torch.cat((corner, corner + extent), dim=1)
    place = torch.rand(200, 2, generator=generator).double()
    xy = corner[roi] + place * extent[roi]
    read = [
        locate_points(xy, roi, boxes, 14, scale, legacy_alignment).read(values)
        for scale, values in ((2, maps), (1, large))
    ]
    torch.testing.assert_close(*read)
    weights = random_maps(200, 2, seed=2)
    gradients = [
        torch.autograd.grad((values * weights).sum(), maps, retain_graph=True)
        for values in read
    ]
    torch.testing.assert_close(*gradients)


def test_legacy_alignment_is_half_a_cell_off():
    # A map whose value is the x of its cell's center in the image.
    size, boxes = 16, torch.tensor([[10.0, 20.0, 42.0, 52.0]])
    centers = 10 + (torch.arange(size) + 0.5) * 2
    maps = centers.expand(1, 1, size, size)
    xy = torch.tensor([[17.3, 30.0], [25.0, 41.0]])
    roi = torch.zeros(2, dtype=torch.int64)
    right = locate_points(xy, roi, boxes, size).read(maps)[:, 0]
    torch.testing.assert_close(right, xy[:, 0])
    legacy = locate_points(xy, roi, boxes, size, legacy_alignment=True)
    torch.testing.assert_close(legacy.read(maps)[:, 0], xy[:, 0] + 1)


def test_points_outside_and_boxes_without_extent():
    boxes = torch.tensor([[10.0, 10, 20, 20], [5, 5, 5, 5]])
    xy = torch.tensor(
        [[10.0, 10], [20, 15], [15, 20], [9.99, 15], [19.99, 19.99], [5, 5]]
    )
    roi = torch.tensor([0, 0, 0, 0, 0, 1])
    points = locate_points(xy, roi, boxes, 4)
    assert points.is_inside.tolist() == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]
    assert points.read(torch.ones(2, 1, 4, 4)).isfinite().all()
    # The outermost half cell is constant, as in resizing.
    maps = torch.arange(16.0).reshape(1, 1, 4, 4).expand(2, 1, 4, 4)
    values = points[points.is_inside].read(maps)[:, 0]
    assert values.tolist() == [0, 15]


def test_no_points():
    points = locate_points(
        torch.zeros(0, 2),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, 4),
        8,
        2,
    )
    maps = torch.zeros(0, 5, 4, 4, requires_grad=True)
    values = points.read(maps)
    assert values.shape == (0, 5)
    values.sum().backward()
    assert maps.grad is not None


def test_a_scale_that_does_not_divide():
    with pytest.raises(ValueError, match='7 cells'):
        locate_points(
            torch.zeros(1, 2),
            torch.zeros(1, dtype=torch.int64),
            torch.ones(1, 4),
            7,
            2,
        )
