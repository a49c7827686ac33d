"""The regression of (U, V) at annotated points."""

from collections.abc import Mapping

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmdense.registry import MODELS

from ..functional.point_losses import (
    REDUCTIONS,
    SHAPES,
    anisotropic_nll,
    isotropic_nll,
    penalty,
    point_weights,
    residual_size,
    variance,
)

#: Of the variance of a prediction, as in detectron2's models.
EPSILON = 0.01


class PointsLoss(BaseModule):
    """What the losses of points have in common.

    Args:
        reduction: What they are a mean of; see
            :class:`~mmdense.densepose.losses.DensePointsLoss`.

    Attributes:
        tasks: Names of the losses it returns.
        fields: What it needs to be predicted beside U and V, a value for each
            part.
        can_be_negative: Whether a loss can be below 0.
    """

    tasks: tuple[str, ...]
    can_be_negative = False
    fields: tuple[str, ...] = ()

    def __init__(self, reduction: str) -> None:
        super().__init__()
        _check('reduction', reduction, REDUCTIONS)
        self.reduction = reduction

    def weights(self, instance: Tensor) -> Tensor:
        """The weight of each point; the normaliser is the sum of them.

        Args:
            instance: (P,) int64, the RoI of each point.
        """
        return point_weights(instance, self.reduction)

    def forward(
        self,
        residual: Tensor,
        instance: Tensor,
        normalizer: Tensor | float | None = None,
        extra: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The losses.

        Args:
            residual: (P, 2), predicted less annotated U and V.
            instance: (P,) int64, the RoI of each point.
            normalizer: What the weighted sum is divided by, the mean over
                ranks of the sum of :meth:`weights`; None: that of these
                points. Not used with `reduction='sum'`.
            extra: (P,) of each of `fields`, as predicted.

        Returns:
            A scalar for each of `tasks`; 0, with gradients of 0, without
            points.
        """
        dtype = torch.promote_types(residual.dtype, torch.float32)
        residual = residual.to(dtype)
        extra = {name: x.to(dtype) for name, x in (extra or {}).items()}
        weights = self.weights(instance)
        sums = weights.to(dtype) @ self.costs(residual, extra)
        if self.reduction != 'sum':
            if normalizer is None:
                normalizer = weights.sum()
            normalizer = torch.as_tensor(normalizer, device=residual.device)
            sums = sums / normalizer.where(normalizer > 0, 1)
        return dict(zip(self.tasks, sums, strict=True))

    def costs(self, residual: Tensor, extra: dict[str, Tensor]) -> Tensor:
        """(P, number of tasks), the cost of each point."""
        raise NotImplementedError


@MODELS.register_module()
class DensePointsLoss(PointsLoss):
    r"""How far (U, V) is off, as a mean over all points of all ranks.

    Paper-inspired: Jia et al., "UV R-CNN: Stable and Efficient Dense Human
    Pose Estimation", 2022, name a Dense Points loss that makes training
    stable, but only the abstract of that paper could be had. What older
    models have is a sum over the points of all RoIs of a rank, the only term
    of the detector that is not normalised: it grows with the people in the
    images and with the images per rank. So the forms below are ours, and the
    old one is `reduction='sum'`. The defaults are those of our study,
    docs/dense_points_study.md.

    .. math:: L = \frac{1}{N}\sum_p w_p\,\ell(d_p)

    Args:
        shape: :math:`\ell`: `smooth_l1`, `l1`, `l2` or `power`; see
            :func:`~mmdense.densepose.functional.point_losses.penalty`.
        beta: Where `smooth_l1` and `power` become straight.
        power: The exponent of `power`. With 2.5 errors below `beta` count
            less than with `smooth_l1`.
        reduction: `point`: mean over points; `instance`: mean over RoIs of
            the mean over the points of each; `sum`: the legacy, not
            normalised.
        joint: Penalise the length of (du, dv), as one task `uv`; else U and
            V are two tasks, `u` and `v`.

    Raises:
        ValueError: An option is not known, `beta` is not positive or `power`
            is below 1.
    """

    def __init__(
        self,
        shape: str = 'smooth_l1',
        beta: float = 1.0,
        power: float = 2.5,
        reduction: str = 'point',
        joint: bool = False,
    ) -> None:
        super().__init__(reduction)
        _check('shape', shape, SHAPES)
        if beta <= 0 or power < 1:
            raise ValueError(
                'beta must be above 0 and power at least 1, got '
                f'beta={beta}, power={power}'
            )
        self.shape, self.beta, self.power = shape, beta, power
        self.joint = joint
        self.tasks = ('uv',) if joint else ('u', 'v')

    def costs(self, residual: Tensor, extra: dict[str, Tensor]) -> Tensor:
        size = residual_size(residual, self.joint)
        return penalty(size, self.shape, self.beta, self.power)

    def extra_repr(self) -> str:
        return (
            f'shape={self.shape!r}, beta={self.beta}, power={self.power}, '
            f'reduction={self.reduction!r}, joint={self.joint}'
        )


_FIELDS = {
    'isotropic': ('sigma_2',),
    'anisotropic': ('sigma_2', 'kappa_u', 'kappa_v'),
}


@MODELS.register_module()
class ConfidentPointsLoss(PointsLoss):
    """Negative log-likelihood of (U, V) under a predicted uncertainty.

    Neverova et al., "Correlated Uncertainty for Learning Dense
    Correspondences from Noisy Labels", NeurIPS 2019; the WC1 and WC2 models
    of detectron2 with `reduction='sum'`. The one task is `uv`. It can be
    negative.

    Args:
        confidence: `isotropic` (WC1): a variance; `anisotropic` (WC2): and a
            direction in which the point may be further off.
        epsilon: The least variance, in units of U and V squared.
        reduction: See :class:`DensePointsLoss`.

    Raises:
        ValueError: An option is not known, or `epsilon` is not positive.
    """

    tasks = ('uv',)
    can_be_negative = True

    def __init__(
        self,
        confidence: str = 'isotropic',
        epsilon: float = EPSILON,
        reduction: str = 'point',
    ) -> None:
        super().__init__(reduction)
        _check('confidence', confidence, _FIELDS)
        if epsilon <= 0:
            raise ValueError(f'epsilon must be above 0, got {epsilon}')
        self.confidence, self.epsilon = confidence, epsilon
        self.fields = _FIELDS[confidence]

    def costs(self, residual: Tensor, extra: dict[str, Tensor]) -> Tensor:
        sigma_2 = variance(extra['sigma_2'], self.epsilon)
        if self.confidence == 'isotropic':
            return isotropic_nll(residual, sigma_2)[:, None]
        kappa = torch.stack((extra['kappa_u'], extra['kappa_v']), dim=1)
        return anisotropic_nll(residual, sigma_2, kappa)[:, None]

    def extra_repr(self) -> str:
        return (
            f'confidence={self.confidence!r}, epsilon={self.epsilon}, '
            f'reduction={self.reduction!r}'
        )


def _check(name: str, value: str, known) -> None:
    if value not in known:
        raise ValueError(
            f'{name} must be one of {", ".join(known)}, got {value!r}'
        )
