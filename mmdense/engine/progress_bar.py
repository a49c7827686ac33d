"""A progress bar beside mmengine's log."""

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ..registry import HOOKS

# Reading the loss waits for the GPU, so it is not done at each step.
_NOTE_INTERVAL = 20


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows the progress of training, validation and test in a terminal.

    On rank 0 and where standard error is a terminal; elsewhere, as in a log
    file, it does nothing and mmengine's log lines tell the progress.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._in_training = False

    def _start(self, title: str, total: int, done: int = 0) -> None:
        self._stop()
        console = Console(stderr=True)
        if not is_main_process() or not console.is_terminal:
            return
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn('{task.fields[note]}'),
            console=console,
            transient=True,
        )
        self._progress.add_task(title, total=total, completed=done, note='')
        self._progress.start()

    def _advance(self, note: str | None = None) -> None:
        if self._progress is not None:
            fields = {} if note is None else dict(note=note)
            task = self._progress.task_ids[0]
            self._progress.update(task, advance=1, **fields)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Start a bar for the epoch, or for all iterations."""
        self._in_training = True
        self._start_training(runner)

    def _start_training(self, runner: Runner) -> None:
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            # For mmengine that is a single epoch, of unknown length.
            self._start('training', runner.max_iters, runner.iter)
        else:
            self._start(
                f'epoch {runner.epoch + 1}/{runner.max_epochs}',
                len(runner.train_dataloader),
            )

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Advance by one step, now and then with the loss."""
        note = None
        if self._progress is not None and batch_idx % _NOTE_INTERVAL == 0:
            loss = (outputs or {}).get('loss')
            note = '' if loss is None else f'loss {loss.item():.3f}'
        self._advance(note)

    def after_train_epoch(self, runner: Runner) -> None:
        """Remove the bar."""
        self._in_training = False
        self._stop()

    def before_val_epoch(self, runner: Runner) -> None:
        """Start a bar for the validation."""
        self._start('validation', len(runner.val_dataloader))

    def after_val_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Advance by one step."""
        self._advance()

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Remove the bar, and go on with that of a training in progress."""
        self._stop()
        if self._in_training:
            self._start_training(runner)

    def before_test_epoch(self, runner: Runner) -> None:
        """Start a bar for the test."""
        self._start('test', len(runner.test_dataloader))

    def after_test_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Advance by one step."""
        self._advance()

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Remove the bar."""
        self._stop()
