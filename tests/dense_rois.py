"""Random RoIs with dense annotations, for tests of the dense head."""

from dataclasses import replace

import torch

from mmdense.densepose.structures import DensePoseInstances


def random_instances(
    num_points: list[int], has_mask: list[bool] | None = None, seed: int = 0
) -> tuple[torch.Tensor, DensePoseInstances]:
    """People with so many points, and RoIs near their boxes.

    Returns:
        (N, 4) RoIs, and the annotations of their people; some points are
        outside the RoI.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(num_points)
    corner = torch.rand(count, 2, generator=generator) * 40
    extent = torch.rand(count, 2, generator=generator) * 60 + 30
    instance = torch.arange(count).repeat_interleave(
        torch.tensor(num_points, dtype=torch.int64)
    )
    total = len(instance)
    place = torch.rand(total, 2, generator=generator)
    to_image = torch.eye(3).repeat(count, 1, 1)
    to_image[:, [0, 1], [0, 1]] = extent / 256
    to_image[:, :2, 2] = corner
    masks = torch.randint(
        15, (count, 256, 256), generator=generator, dtype=torch.uint8
    )
    dense = replace(
        DensePoseInstances.empty(count),
        num_points=torch.tensor(num_points, dtype=torch.int64),
        xy=corner[instance] + place * extent[instance],
        part=torch.randint(1, 25, (total,), generator=generator),
        uv=torch.rand(total, 2, generator=generator),
        mirrored_part=None,
        mirrored_uv=None,
        is_visible=torch.ones(total, dtype=torch.bool),
        part_masks=masks,
        has_part_mask=torch.tensor(
            [True] * count if has_mask is None else has_mask, dtype=torch.bool
        ),
        mask_to_image=to_image,
    )
    moved = corner + torch.randn(count, 2, generator=generator) * 3
    return torch.cat((moved, moved + extent), dim=1), dense


def random_maps(
    num_rois: int, fields: tuple[str, ...] = (), size: int = 8, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Outputs of a head, (N, channels, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    channels = {'coarse': 2, 'part': 25, 'u': 25, 'v': 25}
    channels.update(dict.fromkeys(fields, 25))
    return {
        name: torch.randn(num_rois, count, size, size, generator=generator)
        for name, count in channels.items()
    }
