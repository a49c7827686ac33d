"""The dense head: from the features of RoIs to parts, U and V."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.registry import MODELS

from ..functional.iuv import make_iuv, read_sigma
from ..functional.point_losses import variance
from ..losses.dense_points_loss import EPSILON
from ..structures import (
    DensePoseInstances,
    DensePoseResults,
    RaggedTensors,
)
from ..surface.parts import NUM_PARTS, SEGM_NAMES
from .layers import init_convs
from .uv_losses import UVLosses

#: One more than parts: 0 is background.
PART_CHANNELS = NUM_PARTS + 1
COARSE_CHANNELS = (2, len(SEGM_NAMES))


@MODELS.register_module()
class UVHead(BaseModule):
    r"""Predicts where on the surface of the body each cell of a RoI lies.

    The features go through a trunk, then for each output through a transposed
    convolution that doubles their size, then a bilinear enlargement:

    * `coarse`: logits of background and person, or of 14 coarse parts;
    * `part`: logits of background and the 24 parts;
    * `u`, `v`: for each part, where on it; channel 0 has no meaning;
    * what `loss_points` needs beside: `sigma_2`, `kappa_u`, `kappa_v`.

    Losses, each a mean over all ranks (see :class:`UVLosses`): cross-entropy
    of `coarse` over the cells of RoIs with a part mask, cross-entropy of
    `part` at annotated points, and `loss_points` there. They read the maps
    before the bilinear enlargement, and are equal to losses on the enlarged.

    Args:
        trunk: Config of what comes first, with `out_channels`.
        coarse_channels: 2 or 15. With 15, data whose people have one mask of
            the whole person would teach that they are torsos.
        upsample: The bilinear enlargement.
        segm_confidence: Also predict how much to trust `coarse` and `part`,
            factors of their logits (the WC1M and WC2M models of detectron2).
        loss_points: Config of the loss of U and V.
        loss_balancer: Config of what balances the losses; None: fixed weights
            of `coarse` 5, `part` 1 and of U and V 10.
        coarse_from: Of what `coarse` is learned: `part_masks`, or
            `instance_masks`, which also teach it from people without dense
            annotations (needs `coarse_channels=2` and `gt_instances.masks`).
        legacy_alignment: Read maps and part masks as detectron2 does in
            training, half a cell off from what it does in inference. For
            comparison only.
        legacy_batch_rules: Detectron2's: no loss of `coarse` if one person
            with dense annotations has no part mask; no dense loss at all if
            no point is in its RoI; means over the RoIs of one rank. For
            comparison only.
        predict_sigma: Also predict for each pixel how far off U and V may be,
            a standard deviation in their units, 0 where there is no person;
            for a `loss_points` that learns it.
        monitor_gradients: Also log the norm of the gradient of each task with
            respect to the trunk's output, at the cost of one more backward
            pass through the predictors for each.
        init_cfg: As for `mmengine.model.BaseModule`.

    Raises:
        ValueError: An option is not known, or two do not fit.
    """

    def __init__(
        self,
        trunk: dict,
        coarse_channels: int = 2,
        upsample: int = 2,
        segm_confidence: bool = False,
        loss_points: dict | None = None,
        loss_balancer: dict | None = None,
        coarse_from: str = 'part_masks',
        legacy_alignment: bool = False,
        legacy_batch_rules: bool = False,
        predict_sigma: bool = False,
        monitor_gradients: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if coarse_channels not in COARSE_CHANNELS:
            raise ValueError(
                'coarse_channels must be 2 (background, person) or '
                f'{COARSE_CHANNELS[1]} (background and coarse parts), got '
                f'{coarse_channels}'
            )
        if coarse_from == 'instance_masks' and coarse_channels != 2:
            raise ValueError(
                "coarse_from='instance_masks' knows persons only: set "
                f'coarse_channels=2, got {coarse_channels}'
            )
        if not isinstance(upsample, int) or upsample < 1:
            raise ValueError(
                f'upsample must be a whole number from 1 on, got {upsample}'
            )
        self.trunk = MODELS.build(trunk)
        self.losses = UVLosses(
            loss_points,
            loss_balancer,
            coarse_from=coarse_from,
            legacy_alignment=legacy_alignment,
            legacy_batch_rules=legacy_batch_rules,
        )
        if predict_sigma and 'sigma_2' not in self.losses.points.fields:
            raise ValueError(
                'predict_sigma needs loss_points=dict('
                "type='mmdense.ConfidentPointsLoss', ...), got "
                f'{type(self.losses.points).__name__}, which learns no sigma'
            )
        self.predict_sigma = predict_sigma
        self.upsample = upsample
        self.segm_confidence = segm_confidence
        self.monitor_gradients = monitor_gradients
        channels = {
            'coarse': coarse_channels,
            'part': PART_CHANNELS,
            'u': PART_CHANNELS,
            'v': PART_CHANNELS,
        }
        for field in self.losses.points.fields:
            channels[field] = PART_CHANNELS
        if segm_confidence:
            channels.update(coarse_confidence=1, part_confidence=1)
        self.predictors = nn.ModuleDict(
            {
                name: nn.ConvTranspose2d(
                    self.trunk.out_channels, count, 4, stride=2, padding=1
                )
                for name, count in channels.items()
            }
        )

    def init_weights(self) -> None:
        init_convs(self.predictors)
        super().init_weights()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """What is predicted for RoIs.

        Args:
            x: (N, C, h, w) features of RoIs.

        Returns:
            Of each output (N, channels, s, s); s is 2 h, or already
            2 h * `upsample` for `coarse` and `part` with `segm_confidence`.
        """
        return self.predict_maps(self.trunk(x))

    def predict_maps(self, features: Tensor) -> dict[str, Tensor]:
        """What :meth:`forward` makes of the trunk's output."""
        maps = {
            name: predictor(features)
            for name, predictor in self.predictors.items()
        }
        if self.segm_confidence:
            for name in ('coarse', 'part'):
                confidence = variance(
                    self.enlarge(maps[f'{name}_confidence']), EPSILON
                )
                maps[f'{name}_confidence'] = confidence
                maps[name] = self.enlarge(maps[name]) * confidence
        return maps

    def enlarge(self, maps: Tensor) -> Tensor:
        """The bilinear enlargement."""
        if self.upsample == 1:
            return maps
        return F.interpolate(
            maps,
            scale_factor=self.upsample,
            mode='bilinear',
            align_corners=False,
        )

    def full_maps(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All outputs at the size of the heat map."""
        size = self.heat_map_size(maps)
        return {
            name: values if values.shape[-1] == size else self.enlarge(values)
            for name, values in maps.items()
        }

    def heat_map_size(self, maps: Mapping[str, Tensor]) -> int:
        """Cells of the heat map along each side."""
        return maps['u'].shape[-1] * self.upsample

    def loss(
        self,
        x: Tensor,
        boxes: Tensor,
        dense: DensePoseInstances,
        instance_masks: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of N RoIs, at least one; every rank must call it.

        Args:
            x: (N, C, h, w) features of RoIs.
            boxes: (N, 4) x1, y1, x2, y2 of the RoIs, in px of the image that
                went into the network.
            dense: Annotations of the person in each RoI, in the same frame.
            instance_masks: (N, S, S) in {0, 1}, the instance mask of each
                person in the grid of the heat map; with
                `coarse_from='instance_masks'` only.

        Returns:
            Scalars: `loss_<task>`, and values to log.
        """
        features = self.trunk(x)
        maps = self.predict_maps(features)
        result = self.losses(
            maps, self.heat_map_size(maps), boxes, dense, instance_masks
        )
        if self.monitor_gradients:
            result.update(self._gradient_norms(result, features))
        return result

    @staticmethod
    def _gradient_norms(
        losses: Mapping[str, Tensor], features: Tensor
    ) -> dict[str, Tensor]:
        norms = {}
        for key, loss in losses.items():
            if key.startswith('loss_') and loss.requires_grad:
                (gradient,) = torch.autograd.grad(
                    loss, features, retain_graph=True, allow_unused=True
                )
                if gradient is not None:
                    task = key.removeprefix('loss_')
                    norms[f'grad_norm_{task}'] = gradient.float().norm()
        return norms

    @torch.no_grad()
    def predict(self, x: Tensor, boxes: Tensor) -> dict[str, Any]:
        """What is predicted for N boxes, as fields of `pred_instances`.

        Args:
            x: (N, C, h, w) features of RoIs.
            boxes: (N, 4) x1, y1, x2, y2, px of the image the result is for.

        Returns:
            `densepose`: :class:`DensePoseResults`, an IUV for each box, one
            pixel for each of the box. With `predict_sigma` also
            `densepose_sigma`: :class:`RaggedTensors`, of each box (h, w)
            float32.
        """
        maps = self.full_maps(self(x)) if len(x) else {}
        iuvs = self.make_iuvs(maps, boxes)
        fields: dict[str, Any] = {'densepose': DensePoseResults(iuvs)}
        if self.predict_sigma:
            epsilon = self.losses.points.epsilon
            sigmas = [
                read_sigma(raw, iuv[0].long(), epsilon)
                for raw, iuv in zip(maps.get('sigma_2', ()), iuvs, strict=True)
            ]
            fields['densepose_sigma'] = RaggedTensors(sigmas)
        return fields

    @staticmethod
    def make_iuvs(maps: Mapping[str, Tensor], boxes: Tensor) -> list[Tensor]:
        """IUVs of boxes.

        Args:
            maps: `coarse`, `part`, `u` and `v`, each (N, channels, S, S).
            boxes: (N, 4).
        """
        sizes = (boxes[:, 2:] - boxes[:, :2]).long().clamp(min=1).tolist()
        return [
            make_iuv(
                *(maps[name][i] for name in ('coarse', 'part', 'u', 'v')),
                height=height,
                width=width,
            )
            for i, (width, height) in enumerate(sizes)
        ]
