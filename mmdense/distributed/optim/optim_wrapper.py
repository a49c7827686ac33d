"""Construction of optimizer wrappers for models with sharded tables."""

import math
from collections.abc import Iterable

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import Tensor, nn

from mmdense.registry import OPTIM_WRAPPER_CONSTRUCTORS

from ..collectives import all_reduce_max, all_reduce_sum, world_size
from ..model_wrapper import check_model_wrapper
from ..sharding import named_sharded_tables
from .row_sparse import coalesced


def _entries(param: nn.Parameter) -> Tensor:
    """The stored entries of a gradient, dense or sparse, to edit in place."""
    if not param.grad.is_sparse:
        return param.grad
    param.grad = coalesced(param.grad)
    return param.grad.values()


class _ShardedClip:
    """Gradient clipping that treats all ranks alike.

    Torch's own would use on each rank the norm of that rank's shard, so that
    the replicated parameters would be scaled differently and drift apart.
    """

    def __init__(self, sharded: Iterable[nn.Parameter], include: bool):
        self.sharded = set(sharded)
        self.include = include

    def by_norm(
        self,
        params: Iterable[nn.Parameter],
        max_norm: float,
        norm_type: float = 2.0,
        error_if_nonfinite: bool = False,
    ) -> Tensor:
        """Scale all gradients so that their norm is at most `max_norm`.

        Args:
            params: Parameters with gradients.
            max_norm: The largest norm that is left as it is.
            norm_type: Order of the norm, `inf` for the largest entry.
            error_if_nonfinite: Raise if the norm is NaN or infinite.

        Returns:
            The norm before, over the shards of all ranks where they are
            included.

        Raises:
            RuntimeError: The norm is not finite; on all ranks.
        """
        params = list(params)
        own = [p for p in params if p in self.sharded]
        replicated = [p for p in params if p not in self.sharded]
        device = params[0].device
        # Every rank takes part, also one that owns no row: the collective
        # must not depend on what a rank holds.
        norms = torch.stack(
            [
                self._power(replicated, norm_type, device),
                self._power(own if self.include else [], norm_type, device),
            ]
        )
        if math.isinf(norm_type):
            norms[1] = all_reduce_max(norms[1].clone())
            total = norms.max()
        else:
            norms[1] = all_reduce_sum(norms[1].clone())
            total = norms.sum() ** (1 / norm_type)
        if error_if_nonfinite and not torch.isfinite(total):
            raise RuntimeError(
                f'the norm of all gradients is {total.item()}; it cannot be '
                'clipped'
            )
        factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for param in replicated + (own if self.include else []):
            _entries(param).mul_(factor)
        return total

    def by_value(
        self, params: Iterable[nn.Parameter], clip_value: float
    ) -> None:
        """Clamp each entry of each gradient to +-`clip_value`."""
        for param in params:
            if self.include or param not in self.sharded:
                _entries(param).clamp_(-clip_value, clip_value)

    @staticmethod
    def _power(
        params: list[nn.Parameter], norm_type: float, device: torch.device
    ) -> Tensor:
        """Sum of |entries|^p, or their maximum for p = inf."""
        entries = [_entries(param) for param in params]
        norms = [
            torch.linalg.vector_norm(x.float(), norm_type)
            for x in entries
            if x.numel()
        ]
        if not norms:
            return torch.zeros((), device=device)
        stacked = torch.stack(norms)
        if math.isinf(norm_type):
            return stacked.max()
        return (stacked**norm_type).sum()


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ShardedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, made right for sharded parameters.

    * Clipping uses one norm on all ranks. `clip_grad` takes one key more,
      `include_shards` (default True): False leaves the shards out of both
      norm and scaling, which is what insightface's arcface_torch does.
    * fp16's loss scaler skips a step on all ranks when a shard of one rank
      overflows.

    It is a constructor and not an optimizer wrapper because the flag
    `--amp` replaces the type of the wrapper.

    Args:
        optim_wrapper_cfg: As in mmengine.
        paramwise_cfg: As in mmengine; the centers of a head match the key
            `head.centers`.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer wrapper of `model`.

        Raises:
            ValueError: A table has sparse gradients and the optimizer
                cannot take them, or the model is wrapped by anything but
                `ShardedDistributedDataParallel`.
        """
        check_model_wrapper(model)
        plain = getattr(model, 'module', model)
        tables = dict(named_sharded_tables(plain))
        clip_grad = self.optim_wrapper_cfg.get('clip_grad')
        include = True
        if clip_grad is not None:
            clip_grad = dict(clip_grad)
            include = clip_grad.pop('include_shards', True)
            self.optim_wrapper_cfg['clip_grad'] = clip_grad
        wrapper_type = self.optim_wrapper_cfg.get('type', 'OptimWrapper')
        # The sharded scaler needs a process group.
        if 'Amp' in str(wrapper_type) and tables and world_size() > 1:
            self.optim_wrapper_cfg.setdefault('use_fsdp', True)
        wrapper = super().__call__(model)

        optimizer = wrapper.optimizer
        sparse = [name for name, table in tables.items() if table.sparse]
        if sparse and not getattr(optimizer, 'row_sparse', False):
            raise ValueError(
                f'{sparse[0]} has sparse gradients (sample_rate < 1), which '
                f'{type(optimizer).__name__} does not take row by row; use '
                "optimizer=dict(type='mmdense.RowSparseSGD', ...) or "
                "'mmdense.RowSparseAdamW'"
            )
        if getattr(optimizer, 'fused', False):
            if not sparse:
                raise ValueError(
                    'fused=True needs sampled centers, sample_rate < 1; set '
                    'fused=False'
                )
            self._check_fused(wrapper, clip_grad is not None and include)
        if clip_grad is not None and tables:
            clip = _ShardedClip(
                [table.weight for table in tables.values()], include
            )
            by_value = wrapper.clip_func is torch.nn.utils.clip_grad_value_
            wrapper.clip_func = clip.by_value if by_value else clip.by_norm
        wrapper.knows_shards = True
        return wrapper

    @staticmethod
    def _check_fused(wrapper: OptimWrapper, clips_shards: bool) -> None:
        reason = None
        if clips_shards:
            reason = 'clip_grad needs them; set include_shards=False'
        elif wrapper._accumulative_counts > 1:
            reason = 'accumulative_counts > 1 adds them up'
        elif hasattr(wrapper, 'loss_scaler'):
            reason = 'the loss scaler would have to divide them'
        if reason:
            raise ValueError(
                'fused=True updates the centers inside the backward pass, '
                f'where no gradients are left over, but {reason}; or set '
                'fused=False'
            )


def check_optim_wrapper(model: nn.Module, wrapper: OptimWrapper) -> None:
    """Refuse an optimizer wrapper that would not do for sharded tables.

    Without :class:`ShardedOptimWrapperConstructor` one process may train a
    dense table with any optimizer, and a sparse one with ours, as long as
    nothing is clipped or updated in the backward pass.

    Args:
        model: The model without a wrapper around it.
        wrapper: Its optimizer wrapper.

    Raises:
        ValueError: The constructor matters and was not used; on all ranks.
    """
    tables = dict(named_sharded_tables(model))
    if not tables or getattr(wrapper, 'knows_shards', False):
        return
    optimizer = getattr(wrapper, 'optimizer', None)
    takes_rows = getattr(optimizer, 'row_sparse', False)
    if world_size() > 1:
        reason = f'{world_size()} ranks would clip and skip steps differently'
    elif getattr(wrapper, 'clip_grad_kwargs', None):
        reason = 'clip_grad does not know rows'
    elif getattr(optimizer, 'fused', False):
        reason = 'not all that fused=True excludes has been checked'
    elif any(table.sparse for table in tables.values()) and not takes_rows:
        reason = (
            f'{type(optimizer).__name__} does not take its sparse gradients '
            '(sample_rate < 1) row by row'
        )
    else:
        return
    raise ValueError(
        f'{next(iter(tables))} is a sharded table, but the optimizer wrapper '
        f'was built by another constructor, and {reason}; set optim_wrapper='
        "dict(constructor='mmdense.ShardedOptimWrapperConstructor', ...)"
    )
