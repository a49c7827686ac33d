"""What hooks that draw the findings of metrics have in common."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner


class MetricPicturesHook(Hook):
    """Draws what metrics found, after each validation or test, on rank 0.

    Args:
        out_dir: Folder below the work dir.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = out_dir

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Draw the validation."""
        self._draw(runner, runner.val_loop)

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Draw the test."""
        self._draw(runner, runner.test_loop)

    def _draw(self, runner: Runner, loop: BaseLoop) -> None:
        if is_main_process():
            folder = Path(runner.work_dir) / self.out_dir
            for metric in loop.evaluator.metrics:
                self.draw_metric(metric, loop, folder)

    def draw_metric(
        self, metric: BaseMetric, loop: BaseLoop, folder: Path
    ) -> None:
        """Draw one metric, or nothing if it is of another kind.

        Args:
            metric: The metric; it has been evaluated.
            loop: What evaluated it; has the dataloader.
            folder: Where to; may not exist yet.
        """
        raise NotImplementedError
