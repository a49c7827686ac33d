"""A training that has diverged need not go on."""

import math

from mmengine.hooks import Hook

from mmdense.registry import HOOKS


class Diverged(Exception):
    """The loss is not finite.

    Args:
        step: The first such step, from 1.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f'the loss of step {step} is not finite')
        self.step = step


@HOOKS.register_module()
class StopDiverged(Hook):
    """Raises :class:`Diverged` after the first loss that is not finite."""

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        if not math.isfinite(float(outputs['loss'].detach())):
            raise Diverged(runner.iter + 1)
