"""Which rows of a (C, d) table are mine, and the module that holds them."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .collectives import rank, world_size

# Rows are drawn in blocks of this many, each from a generator of its own, so
# that a rank draws its rows without drawing those before them. Part of the
# definition of the initial table: changing it changes every model's start.
_INIT_BLOCK = 1024


def shard_range(num_rows: int, rank: int, world_size: int) -> tuple[int, int]:
    """Rows `[start, stop)` of a table that `rank` owns.

    The ranges are contiguous and differ in length by one row at most; the
    first `num_rows % world_size` ranks own the longer ones. With fewer rows
    than ranks the last ranks own none.

    Args:
        num_rows: Rows of the whole table.
        rank: The rank, in `[0, world_size)`.
        world_size: Number of ranks.

    Raises:
        ValueError: `rank` is not in `[0, world_size)` or `num_rows` < 0.
    """
    if not 0 <= rank < world_size:
        raise ValueError(
            f'rank must be in [0, {world_size}), the world size, got {rank}'
        )
    if num_rows < 0:
        raise ValueError(f'num_rows must not be negative, got {num_rows}')
    length, longer = divmod(num_rows, world_size)
    start = rank * length + min(rank, longer)
    return start, start + length + (rank < longer)


def seeded_generator(*key: int) -> torch.Generator:
    """A CPU generator whose stream is a function of `key` alone.

    Consecutive keys give unrelated streams: the integers are mixed one by
    one with the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014).
    """
    state = 0
    for part in key:
        state = (state + part + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    generator = torch.Generator()
    generator.manual_seed(state % 2**63)
    return generator


def draw_rows(
    start: int,
    stop: int,
    dim: int,
    std: float,
    seed: int,
    out: Tensor | None = None,
) -> Tensor:
    """Rows `[start, stop)` of a normal table that only `seed` determines.

    Args:
        start: First row.
        stop: One past the last row.
        dim: Length of a row.
        std: Standard deviation of each entry; the mean is 0.
        seed: The table. Equal seeds give equal rows, however the table is
            split over ranks.
        out: (stop - start, dim) tensor to write to, on any device.

    Returns:
        `out`, or a float32 tensor of its shape on the CPU.
    """
    rows = torch.empty(stop - start, dim) if out is None else out
    for block in range(start // _INIT_BLOCK, -(-stop // _INIT_BLOCK)):
        first = block * _INIT_BLOCK
        drawn = torch.randn(
            _INIT_BLOCK, dim, generator=seeded_generator(seed, block)
        )
        lower = max(start, first)
        upper = min(stop, first + _INIT_BLOCK)
        rows[lower - start : upper - start] = (
            drawn[lower - first : upper - first] * std
        )
    return rows


class ShardedTable(nn.Module):
    """This rank's rows of a table that is split over all ranks.

    `weight` is an ordinary parameter, so optimizers, schedulers and `.to()`
    treat it as any other, but it is kept out of `state_dict`: mmengine
    broadcasts every entry from rank 0 when it initialises a model, and saves
    and loads on rank 0 alone.
    :class:`~mmdense.distributed.checkpoint.ShardedCheckpointHook` saves it.

    Args:
        num_rows: Rows of the whole table, C.
        dim: Length of a row, d.
        std: Standard deviation of the initial entries.
        seed: Seed of the initial entries; see :func:`draw_rows`.
        sparse: Whether its gradient will be a sparse tensor of the rows in
            use, as with `nn.Embedding(sparse=True)`.

    Attributes:
        weight: Parameter of shape (stop - start, dim).
        start: First row of this rank.
        stop: One past the last row of this rank.
        new_rows: Rows of this rank that loading a checkpoint for fine-tuning
            has left as they were initialised; None before.
    """

    def __init__(
        self,
        num_rows: int,
        dim: int,
        std: float = 0.01,
        seed: int = 0,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.num_rows = num_rows
        self.dim = dim
        self.std = std
        self.seed = seed
        self.sparse = sparse
        self.rank = rank()
        self.start, self.stop = shard_range(num_rows, self.rank, world_size())
        self.weight = nn.Parameter(torch.empty(self.stop - self.start, dim))
        # Read by optimizers: attributes of the parameter, as they know no
        # modules.
        self.weight.sparse_table = sparse  # type: ignore[attr-defined]
        if sparse:
            self.weight.register_post_accumulate_grad_hook(_merge_rows)
        self.new_rows: Tensor | None = None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the initial rows, the same for any number of ranks."""
        draw_rows(
            self.start,
            self.stop,
            self.dim,
            self.std,
            self.seed,
            out=self.weight,
        )

    def refresh(self, rows: Tensor | None = None) -> None:
        """Bring rows up to date before they are read.

        Only an optimizer that updates lazily has anything to do.

        Args:
            rows: (m,) row numbers, or None for all.
        """
        refresh_rows = getattr(self.weight, 'refresh_rows', None)
        if refresh_rows is not None:
            refresh_rows(rows)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Save nothing; see the class."""

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Expect nothing; see the class."""

    def extra_repr(self) -> str:
        return (
            f'rows {self.start} to {self.stop} of {self.num_rows}, '
            f'dim={self.dim}, sparse={self.sparse}'
        )


def _merge_rows(weight: Tensor) -> None:
    """Keep an accumulated gradient within the size of a dense one.

    On GPUs the gradients of micro-batches are put after one another, rows
    that they share included.
    """
    grad = weight.grad
    if grad is not None and grad.is_sparse and grad._nnz() > len(weight):
        weight.grad = grad.coalesce()


def named_sharded_tables(
    model: nn.Module,
) -> Iterator[tuple[str, ShardedTable]]:
    """The sharded tables of `model` with their names, in module order."""
    for name, module in model.named_modules():
        if isinstance(module, ShardedTable):
            yield name, module


def named_sharded_parameters(
    model: nn.Module,
) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters of `model` that differ from rank to rank."""
    for name, table in named_sharded_tables(model):
        yield f'{name}.weight' if name else 'weight', table.weight
