"""The losses of the dense head."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmdense.distributed.collectives import all_reduce_sum, world_size
from mmdense.registry import MODELS

from ..functional.heat_maps import HeatMapPoints, locate_points
from ..functional.part_mask_targets import sample_part_masks
from ..structures import DensePoseInstances

COARSE_SOURCES = ('part_masks', 'instance_masks')


class UVLosses(BaseModule):
    r"""Compares the maps of RoIs with what is annotated.

    .. math::
        L_{coarse} &= \frac{1}{M S^2}\sum_{cells} CE \\
        L_{part} &= \frac{1}{N}\sum_p CE(\hat I(x_p), I_p) \\
        L_{uv} &= \frac{1}{N}\sum_p \ell(\hat u_{I_p}(x_p) - u_p,
        \hat v_{I_p}(x_p) - v_p)

    over the S x S cells of M RoIs with a mask, and N points in their RoIs.
    M and N are means over ranks, so that the gradient DDP averages is that
    of one rank with all RoIs.

    Args:
        loss_points: See :class:`~mmdense.densepose.roi_heads.UVHead`.
        loss_balancer: See there.
        coarse_from: See there.
        legacy_alignment: See there.
        legacy_batch_rules: See there.

    Raises:
        ValueError: `coarse_from` is not known, the loss of points does not
            name its tasks, or the balancer cannot take
            losses below 0, which those of points can be.
    """

    def __init__(
        self,
        loss_points: dict | None = None,
        loss_balancer: dict | None = None,
        coarse_from: str = 'part_masks',
        legacy_alignment: bool = False,
        legacy_batch_rules: bool = False,
    ) -> None:
        super().__init__()
        if coarse_from not in COARSE_SOURCES:
            raise ValueError(
                f'coarse_from must be one of {", ".join(COARSE_SOURCES)}, '
                f'got {coarse_from!r}'
            )
        self.points = MODELS.build(
            loss_points or dict(type='mmdense.DensePointsLoss')
        )
        if not getattr(self.points, 'tasks', ()):
            raise ValueError(
                f'{type(self.points).__name__} has no tasks: set the '
                "attribute `tasks`, ('u', 'v') or ('uv',), of your PointsLoss "
                'to the names of the losses it returns'
            )
        if loss_balancer is None:
            loss_balancer = dict(
                type='mmdense.StaticBalancer',
                weights=dict(coarse=5.0, part=1.0, uv=10.0),
            )
        self.balancer = MODELS.build(
            loss_balancer,
            default_args=dict(tasks=('coarse', 'part', *self.points.tasks)),
        )
        if self.points.can_be_negative and not self.balancer.takes_negative:
            raise ValueError(
                f'{type(self.points).__name__} can be negative, and '
                f'{type(self.balancer).__name__} would make it run away to '
                '-infinity or weigh it by chance: expected a balancer that '
                'takes such losses, as StaticBalancer, RampBalancer and '
                'SoftmaxBalancer do'
            )
        self.coarse_from = coarse_from
        self.legacy_alignment = legacy_alignment
        self.legacy_batch_rules = legacy_batch_rules

    def forward(
        self,
        maps: Mapping[str, Tensor],
        size: int,
        boxes: Tensor,
        dense: DensePoseInstances,
        instance_masks: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The losses; see :meth:`UVHead.loss`.

        Args:
            maps: Of each output (N, channels, s, s).
            size: S, cells of the heat map; a multiple of each s.
            boxes: (N, 4).
            dense: Of N people.
            instance_masks: (N, S, S), or (0, S, S) if there is nobody.

        Raises:
            ValueError: Instance masks are needed and missing.
        """
        samples = {
            s: locate_points(
                dense.xy,
                dense.instance,
                boxes,
                size,
                size // s,
                self.legacy_alignment,
            )
            for s in {maps['part'].shape[-1], maps['u'].shape[-1]}
        }
        is_inside = samples[maps['u'].shape[-1]].is_inside
        with_mask, targets = self._coarse_targets(
            size, boxes, dense, instance_masks
        )
        # A label of 0 is none of the parts, so there is no U and V.
        with_uv = is_inside & (dense.part > 0)
        if self.legacy_batch_rules and not with_uv.any():
            is_inside = with_uv
            with_mask, targets = with_mask[:0], targets[:0]
        return self._compare(
            maps, samples, dense, is_inside, with_uv, with_mask, targets
        )

    def _coarse_targets(
        self,
        size: int,
        boxes: Tensor,
        dense: DensePoseInstances,
        instance_masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Which RoIs have a mask, (M,), and the labels of their cells."""
        if self.coarse_from == 'instance_masks':
            if instance_masks is None:
                raise ValueError(
                    "coarse_from='instance_masks' needs gt_instances.masks: "
                    'load annotations with with_mask=True'
                )
            rows = torch.arange(len(instance_masks), device=boxes.device)
            return rows, instance_masks.long()
        rows = dense.has_part_mask.nonzero().squeeze(1)
        has_points = dense.has_points
        if self.legacy_batch_rules and not (
            dense.has_part_mask[has_points].all()
        ):
            rows = rows[:0]
        labels = sample_part_masks(
            dense.part_masks[rows],
            dense.mask_to_image[rows],
            boxes[rows],
            size,
            self.legacy_alignment,
        )
        return rows, labels.long()

    def _compare(
        self,
        maps: Mapping[str, Tensor],
        samples: Mapping[int, HeatMapPoints],
        dense: DensePoseInstances,
        is_inside: Tensor,
        with_uv: Tensor,
        with_mask: Tensor,
        targets: Tensor,
    ) -> dict[str, Tensor]:
        # Indices: each use of a mask would wait for the device.
        inside_rows = is_inside.nonzero().squeeze(1)
        uv_rows = with_uv.nonzero().squeeze(1)
        instance, part = dense.instance[uv_rows], dense.part[uv_rows]
        num_masks, num_points, num_uv = self._normalizers(
            torch.tensor(len(with_mask), device=part.device),
            torch.tensor(len(inside_rows), device=part.device),
            self.points.weights(instance).sum(),
        )
        losses = {
            'coarse': self._coarse_loss(
                maps['coarse'][with_mask], targets, num_masks
            )
        }
        at_points = samples[maps['part'].shape[-1]][inside_rows]
        losses['part'] = (
            F.cross_entropy(
                at_points.read(maps['part']),
                dense.part[inside_rows],
                reduction='sum',
            )
            / num_points
        )
        at_points = samples[maps['u'].shape[-1]][uv_rows]
        predicted = torch.stack(
            [at_points.read(maps[name], part) for name in ('u', 'v')], dim=1
        )
        extra = {
            name: at_points.read(maps[name], part)
            for name in self.points.fields
        }
        losses.update(
            self.points(predicted - dense.uv[uv_rows], instance, num_uv, extra)
        )
        balanced, log = self.balancer(losses)
        return {
            **{f'loss_{task}': loss for task, loss in balanced.items()},
            **log,
            'uv_num_points': is_inside.sum().float(),
        }

    def _normalizers(self, *counts: Tensor) -> Tensor:
        """Their means over ranks, 1 instead of 0."""
        totals = torch.stack([count.float() for count in counts])
        if not self.legacy_batch_rules:
            totals = all_reduce_sum(totals) / world_size()
        return totals.where(totals > 0, 1)

    def _coarse_loss(
        self, logits: Tensor, targets: Tensor, num_masks: Tensor
    ) -> Tensor:
        size = targets.shape[-1]
        if logits.shape[-1] != size:
            logits = F.interpolate(
                logits,
                size=(size, size),
                mode='bilinear',
                align_corners=False,
            )
        if logits.shape[1] == 2:
            targets = (targets > 0).long()
        dtype = torch.promote_types(logits.dtype, torch.float32)
        total = F.cross_entropy(logits.to(dtype), targets, reduction='sum')
        return total / (num_masks * size * size)
