"""How much each task of the dense head counts."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.distributed.collectives import all_reduce_sum, world_size
from mmdense.registry import MODELS

from ..functional.loss_balancing import dwa_weights, softmax_weights

#: Of a head whose loss of points has two tasks.
TASKS = ('coarse', 'part', 'u', 'v')


class LossBalancer(BaseModule):
    """Multiplies the losses of tasks by fixed weights, then by its own.

    Paper-inspired, all of them: Jia et al., "UV R-CNN", 2022, name a balanced
    loss weighting strategy, but only the abstract of that paper could be
    had.

    What a balancer does depends on the losses of all ranks, so that all
    ranks do the same.

    Args:
        weights: Fixed weights by task; 1 for those not named. `uv` is that
            of U and V also where they are two tasks.
        tasks: Names of the tasks, in order; the head passes its own.

    Raises:
        ValueError: A weight is negative, or of a task that the head does not
            have.
    """

    #: Whether it makes sense of a loss below 0, as log-likelihoods are.
    takes_negative = True

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        tasks: Sequence[str] = TASKS,
    ) -> None:
        super().__init__()
        weights = dict(weights or {})
        if 'uv' in weights and 'uv' not in tasks:
            both = weights.pop('uv')
            weights = {'u': both, 'v': both} | weights
        unknown = sorted(weights.keys() - set(tasks))
        if unknown:
            raise ValueError(
                f'weights name {", ".join(unknown)}, but the tasks are '
                f'{", ".join(tasks)} (a loss of points with joint=True, or '
                "with confidences, has the one task 'uv', which also stands "
                'for both u and v)'
            )
        if any(weight < 0 for weight in weights.values()):
            raise ValueError(f'weights must not be negative, got {weights}')
        self.tasks = tuple(tasks)
        self.weights = [float(weights.get(task, 1)) for task in tasks]

    def forward(
        self, losses: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Balance.

        Args:
            losses: A scalar for each task.

        Returns:
            The same multiplied by their weights, and values to log.
        """
        values = torch.stack(
            [
                losses[task] * weight
                for task, weight in zip(self.tasks, self.weights, strict=True)
            ]
        )
        balanced, factors = self.balance(values)
        log = {}
        if factors is not None:
            log = {
                f'balance_{task}': factor.detach()
                for task, factor in zip(self.tasks, factors, strict=True)
            }
        return dict(zip(self.tasks, balanced, strict=True)), log

    def balance(self, losses: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of (K,) losses: balanced ones, and the factors if they vary."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return ', '.join(
            f'{task}={weight:g}'
            for task, weight in zip(self.tasks, self.weights, strict=True)
        )


def _mean_over_ranks(losses: Tensor) -> Tensor:
    return all_reduce_sum(losses.detach().clone()) / world_size()


@MODELS.register_module()
class StaticBalancer(LossBalancer):
    """Fixed weights only. Paper-inspired; see :class:`LossBalancer`.

    With a mean over points, weights of U and V around 10 put all four tasks
    at the same order of size at the start of training.
    """

    def balance(self, losses: Tensor) -> tuple[Tensor, None]:
        return losses, None


@MODELS.register_module()
class SoftmaxBalancer(LossBalancer):
    r"""Less weight to what is large now. Paper-inspired.

    :math:`w_i = K\,e^{-L_i/T} / \sum_j e^{-L_j/T}` without gradient. Tames
    a loss that runs away, but starves the task that is hardest.

    Args:
        weights: See :class:`LossBalancer`.
        tasks: See there.
        temperature: T.

    Raises:
        ValueError: As there, or the temperature is not positive.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        tasks: Sequence[str] = TASKS,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(weights, tasks)
        self.temperature = _positive('temperature', temperature)

    def balance(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        factors = softmax_weights(_mean_over_ranks(losses), self.temperature)
        return losses * factors, factors


@MODELS.register_module()
class UncertaintyBalancer(LossBalancer):
    r"""Weights that are learned. Paper-inspired.

    :math:`\sum_i e^{-s_i} L_i + s_i` with learned :math:`s_i`, 0 at first:
    Kendall et al., "Multi-Task Learning Using Uncertainty to Weigh Losses",
    CVPR 2018, with the factor 1/2 of regression left out for all tasks, so
    that training starts with the fixed weights. What it returns can be
    negative. A task that is 0 on all ranks, as without annotations, keeps its
    :math:`s`. Losses that can be negative are refused: the sum would have no
    lower bound.

    The head's optimizer trains :math:`s`; spare it weight decay with
    `paramwise_cfg=dict(custom_keys={'log_variance': dict(decay_mult=0)})`.

    Args:
        weights: See :class:`LossBalancer`.
        tasks: See there.
    """

    takes_negative = False

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        tasks: Sequence[str] = TASKS,
    ) -> None:
        super().__init__(weights, tasks)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))

    def balance(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        factors = (-self.log_variance).exp()
        is_there = _mean_over_ranks(losses) != 0
        penalty = self.log_variance.where(is_there, 0)
        return losses * factors + penalty, factors


@MODELS.register_module()
class DWABalancer(LossBalancer):
    """More weight to what falls more slowly. Paper-inspired.

    Dynamic weight average; see
    :func:`~mmdense.densepose.functional.loss_balancing.dwa_weights`. All
    weigh the same during the first two windows. Steps whose losses are not
    finite are left out; losses that can be negative, of which a ratio says
    nothing, are refused.

    Args:
        weights: See :class:`LossBalancer`.
        tasks: See there.
        window: Steps that losses are averaged over, an epoch in the paper.
        temperature: T of the softmax.

    Raises:
        ValueError: As there, or an option is not positive.
    """

    takes_negative = False

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        tasks: Sequence[str] = TASKS,
        window: int = 1000,
        temperature: float = 2.0,
    ) -> None:
        super().__init__(weights, tasks)
        self.window = _positive('window', window)
        self.temperature = _positive('temperature', temperature)
        # Of the window under way, the last and the one before.
        self.register_buffer('means', torch.zeros(3, len(self.tasks)))
        # Floats, so that hooks that average buffers over ranks take them.
        self.register_buffer('steps', torch.zeros(()))

    def balance(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        _, last, before = self.means
        factors = dwa_weights(last, before, self.temperature).to(losses)
        if self.training:
            self._record(_mean_over_ranks(losses).to(self.means))
        return losses * factors, factors

    def _record(self, losses: Tensor) -> None:
        # All on the device: the host need not wait for it.
        is_finite = losses.isfinite().all()
        self.means[0] += losses.where(is_finite, 0) / self.window
        self.steps += is_finite
        is_full = is_finite & (self.steps % self.window == 0)
        shifted = self.means.roll(1, dims=0)
        shifted[0] = 0
        self.means.copy_(shifted.where(is_full, self.means))


@MODELS.register_module()
class RampBalancer(LossBalancer):
    r"""Some tasks begin small. Paper-inspired.

    Their weight rises linearly from `start` to 1 over the first steps.

    Args:
        weights: See :class:`LossBalancer`.
        tasks: See there.
        ramped: Tasks that begin small; None: those of U and V.
        start: Their first weight.
        steps: After how many steps it is 1.

    Raises:
        ValueError: As there, or a ramped task does not exist, or `steps` is
            not positive.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        tasks: Sequence[str] = TASKS,
        ramped: Sequence[str] | None = None,
        start: float = 0.001,
        steps: int = 10000,
    ) -> None:
        super().__init__(weights, tasks)
        if ramped is None:
            ramped = [task for task in tasks if task in ('u', 'v', 'uv')]
        unknown = sorted(set(ramped) - set(tasks))
        if unknown:
            raise ValueError(
                f'ramped names {", ".join(unknown)}, but the tasks are '
                f'{", ".join(tasks)}'
            )
        is_ramped = torch.tensor([task in ramped for task in tasks])
        self.register_buffer('is_ramped', is_ramped, persistent=False)
        self.start, self.steps = start, _positive('steps', steps)
        self.register_buffer('done', torch.zeros(()))

    def balance(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        share = (self.done / self.steps).clamp(max=1)
        ramp = (self.start + (1 - self.start) * share).to(losses)
        factors = torch.where(self.is_ramped, ramp, 1)
        if self.training:
            self.done += 1
        return losses * factors, factors


def _positive(name: str, value):
    if value <= 0:
        raise ValueError(f'{name} must be above 0, got {value}')
    return value
