import sys

import pytest
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope

from tests.ranks import RankPool, Ranks


@pytest.fixture(scope='session')
def _rank_pool():
    pool = RankPool()
    yield pool
    pool.close()


@pytest.fixture(scope='session')
def ranks(_rank_pool):
    """`ranks(k)(function, *args)`: the list of what k ranks return."""
    if sys.platform == 'win32':
        pytest.skip('gloo ranks need a POSIX system')
    return lambda size: Ranks(_rank_pool, size)


@pytest.fixture(autouse=True)
def _no_leftovers():
    """A Runner leaves its default scope and its messages to whoever follows.

    Both decide things: where types are looked up, and which iteration the
    sampling is at.
    """
    managers = (DefaultScope, MessageHub)
    before = [dict(manager._instance_dict) for manager in managers]
    yield
    for manager, instances in zip(managers, before, strict=True):
        manager._instance_dict.clear()
        manager._instance_dict.update(instances)
