"""The registry nodes of the package, children of mmengine's.

A type written `mmdense.X` resolves under any default scope: mmengine imports
this module when it meets the prefix, and `locations` imports the
implementations.
"""

from contextlib import suppress
from importlib import import_module

from mmengine import registry as mmengine_nodes
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
from mmengine.registry import DefaultScope, Registry


def plain_name(type_: str | type) -> str:
    """The name of a config's `type`, without its scope or module.

    Args:
        type_: As `'mmdet.ResNet'`, or the class itself as configs in the
            pure-Python style have it.
    """
    return getattr(type_, '__name__', str(type_)).rpartition('.')[2]


class HostedRegistry(Registry):
    """A registry in which names without a scope are those of the host.

    mmengine looks for types of a config inherited as `mmdense::...`, and for
    all that is built while they are, in the scope `mmdense`. What has no
    prefix there, in a config or in the host's own code, means what it means
    in the default scope of the run.
    """

    def get(self, key: str) -> type | None:
        """The type of this name; see `mmengine.registry.Registry.get`."""
        scope, _ = self.split_scope_key(key)
        host = self._host() if scope is None else None
        found = None if host is None else host.get(key)
        return self._get_own(key) if found is None else found

    def _get_own(self, key: str) -> type | None:
        return super().get(key)

    def _host(self) -> Registry | None:
        """The node of the scope that was current before this one."""
        for instance in reversed(DefaultScope._instance_dict.values()):
            name = instance.scope_name
            if name != self.scope:
                with suppress(ImportError):
                    import_module(f'{name}.registry')
                return self.parent.children.get(name)
        return None


class LazyRegistry(HostedRegistry):
    """A registry that imports its locations only until a type is found.

    Else a type of one wing would import the libraries of the other, which
    takes ten seconds, and fail with them. A location that cannot be imported
    is an error only if the type is found nowhere else.
    """

    def _get_own(self, key: str) -> type | None:
        """The type of this name.

        Raises:
            ImportError: It is not found, and a location cannot be imported.
        """
        scope, name = self.split_scope_key(key)
        is_mine = scope in (None, self.scope)
        error = self._import_until(name) if is_mine else None
        # What mmengine asks before it imports all locations at once.
        before, self._imported = self._imported, True
        try:
            found = super()._get_own(key)
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
TRANSFORMS = HostedRegistry(
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
MODEL_WRAPPERS = HostedRegistry(
    'model wrapper',
    parent=MMENGINE_MODEL_WRAPPERS,
    scope='mmdense',
    locations=['mmdense.distributed.model_wrapper'],
)
OPTIMIZERS = HostedRegistry(
    'optimizer',
    parent=MMENGINE_OPTIMIZERS,
    scope='mmdense',
    locations=['mmdense.distributed.optim'],
)
OPTIM_WRAPPER_CONSTRUCTORS = HostedRegistry(
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
LOOPS = HostedRegistry(
    'loop',
    parent=MMENGINE_LOOPS,
    scope='mmdense',
    locations=['mmdense.engine'],
)
VISUALIZERS = HostedRegistry(
    'visualizer',
    parent=MMENGINE_VISUALIZERS,
    scope='mmdense',
    locations=['mmdense.densepose.visualization'],
)
# Nothing of ours is in these. Without them mmengine warns, for configs that
# are inherited as `mmdense::`, that it takes its own.
HOST_ONLY = [
    HostedRegistry(parent.name, parent=parent, scope='mmdense')
    for parent in (
        mmengine_nodes.DATA_SAMPLERS,
        mmengine_nodes.EVALUATOR,
        mmengine_nodes.LOG_PROCESSORS,
        mmengine_nodes.OPTIM_WRAPPERS,
        mmengine_nodes.PARAM_SCHEDULERS,
        mmengine_nodes.TASK_UTILS,
        mmengine_nodes.VISBACKENDS,
        mmengine_nodes.WEIGHT_INITIALIZERS,
    )
]
