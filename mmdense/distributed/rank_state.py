"""What differs from rank to rank besides the rows of tables.

* Buffers: batch normalisation on each rank follows its own batches.
* Gradients, when a checkpoint falls between the micro-batches of gradient
  accumulation: DDP has not averaged them yet.

They are saved with each rank's rows and restored for the same number of
ranks, so that the run goes on as if it had not stopped.
"""

from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from .collectives import world_size
from .optim.row_sparse import coalesced
from .sparse import sparse_rows

_BUFFER, _GRAD = 'rank.buffer.', 'rank.grad.'
_ROWS, _VALUES = '.rows', '.values'


def collect_rank_state(
    model: nn.Module, optim_wrapper: OptimWrapper
) -> dict[str, Tensor]:
    """The buffers and accumulated gradients of this rank.

    Args:
        model: The model, not wrapped.
        optim_wrapper: Its optimizer wrapper.

    Returns:
        Tensors by keys that begin with `rank.`; none where there is nothing
        that the checkpoint of rank 0 does not hold.
    """
    state = {}
    if world_size() > 1:
        kept = model.state_dict()
        for name, buffer in model.named_buffers():
            if name in kept:
                state[_BUFFER + name] = buffer.detach()
    if getattr(optim_wrapper, '_accumulative_counts', 1) > 1:
        for name, param in model.named_parameters():
            if param.grad is None:
                continue
            key = _GRAD + name
            if param.grad.is_sparse:
                grad = coalesced(param.grad)
                state[key + _ROWS] = grad.indices()[0]
                state[key + _VALUES] = grad.values()
            else:
                state[key] = param.grad
    return state


def saved_buffers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The buffers that :func:`collect_rank_state` found, by name."""
    return {
        key.removeprefix(_BUFFER): value
        for key, value in state.items()
        if key.startswith(_BUFFER)
    }


def restore_gradients(model: nn.Module, state: dict[str, Tensor]) -> int:
    """Set the gradients that :func:`collect_rank_state` found.

    Returns:
        The number of parameters that got one.
    """
    restored = 0
    for name, param in model.named_parameters():
        key = _GRAD + name
        if key in state:
            param.grad = state[key].to(param.device)
        elif key + _ROWS in state:
            rows = state[key + _ROWS].to(param.device)
            values = state[key + _VALUES].to(param.device)
            param.grad = sparse_rows(rows, values, param.shape)
        else:
            continue
        restored += 1
    return restored


def has_gradients(state: dict[str, Tensor]) -> bool:
    """Whether it was collected between two micro-batches."""
    return any(key.startswith(_GRAD) for key in state)
