"""The registry nodes of the package, children of mmengine's.

A type written `mmdense.X` resolves under any default scope: mmengine imports
this module when it meets the prefix, and `locations` imports the
implementations. Only the nodes in use are here.
"""

from importlib import import_module

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry


def plain_name(type_: str | type) -> str:
    """The name of a config's `type`, without its scope or module.

    Args:
        type_: As `'mmdet.ResNet'`, or the class itself as configs in the
            pure-Python style have it.
    """
    return getattr(type_, '__name__', str(type_)).rpartition('.')[2]


class LazyRegistry(Registry):
    """A registry that imports its locations only until a type is found.

    Else a type of one wing would import the libraries of the other, which
    takes ten seconds, and fail with them. A location that cannot be imported
    is an error only if the type is found nowhere else.
    """

    def get(self, key: str) -> type | None:
        """The type of this name; see `mmengine.registry.Registry.get`.

        Raises:
            ImportError: It is not found, and a location cannot be imported.
        """
        scope, name = self.split_scope_key(key)
        is_mine = scope in (None, self.scope)
        error = self._import_until(name) if is_mine else None
        # What mmengine asks before it imports all locations at once.
        before, self._imported = self._imported, True
        try:
            found = super().get(key)
        except RuntimeError:
            if error is None:
                raise
            raise error from None
        finally:
            self._imported = before
        if found is None and error is not None:
            raise error
        return found

    def _import_until(self, name: str) -> ImportError | None:
        """Import until the name is known; the first error on the way."""
        first = None
        for location in self._locations:
            if name in self._module_dict:
                return None
            try:
                import_module(location)
            except ImportError as error:
                first = first or error
        return None if name in self._module_dict else first


MODELS = LazyRegistry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmdense',
    locations=['mmdense.recognition.models', 'mmdense.densepose.models'],
)
DATASETS = LazyRegistry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='mmdense',
    locations=['mmdense.recognition.datasets', 'mmdense.densepose.datasets'],
)
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='mmdense',
    locations=['mmdense.densepose.transforms'],
)
METRICS = LazyRegistry(
    'metric',
    parent=MMENGINE_METRICS,
    scope='mmdense',
    locations=[
        'mmdense.recognition.evaluation',
        'mmdense.densepose.evaluation',
    ],
)
MODEL_WRAPPERS = Registry(
    'model wrapper',
    parent=MMENGINE_MODEL_WRAPPERS,
    scope='mmdense',
    locations=['mmdense.distributed.model_wrapper'],
)
OPTIMIZERS = Registry(
    'optimizer',
    parent=MMENGINE_OPTIMIZERS,
    scope='mmdense',
    locations=['mmdense.distributed.optim'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmdense',
    locations=['mmdense.distributed.optim'],
)
HOOKS = LazyRegistry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='mmdense',
    locations=[
        'mmdense.distributed.checkpoint',
        'mmdense.engine',
        'mmdense.recognition.hooks',
        'mmdense.recognition.visualization',
    ],
)
LOOPS = Registry(
    'loop',
    parent=MMENGINE_LOOPS,
    scope='mmdense',
    locations=['mmdense.engine'],
)
VISUALIZERS = Registry(
    'visualizer',
    parent=MMENGINE_VISUALIZERS,
    scope='mmdense',
    locations=['mmdense.densepose.visualization'],
)
