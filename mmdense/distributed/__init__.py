"""Parameters that live on one rank only, and what keeps them right there.

The modules here know nothing of recognition or dense pose: a table of rows
is split over ranks, ignored by DDP, updated row by row and saved per rank.
"""

from .sharding import ShardedTable, named_sharded_parameters, shard_range

__all__ = ['ShardedTable', 'named_sharded_parameters', 'shard_range']
