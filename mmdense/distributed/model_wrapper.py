"""DDP for models that hold rows of a sharded table."""

from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..registry import MODEL_WRAPPERS
from .sharding import named_sharded_parameters


@MODEL_WRAPPERS.register_module()
class ShardedDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's DDP that leaves sharded parameters to their ranks.

    Stock DDP would copy rank 0's rows to all ranks and average the
    gradients of rows that are different classes. Besides, buffers are not
    broadcast by default, as in mmengine's own default wrapper, and
    `device_ids` is dropped for a model on the CPU, where DDP refuses it.

    Args:
        module: The model. Its sharded parameters, if any, must belong to a
            submodule: DDP cannot ignore a parameter of the root itself.
        broadcast_buffers: Whether rank 0's buffers are copied to all ranks
            before each forward pass.
        device_ids: As in DDP.
        **kwargs: Further arguments of `MMDistributedDataParallel`.

    Raises:
        ValueError: `module` is itself a sharded table.
    """

    def __init__(
        self,
        module: nn.Module,
        broadcast_buffers: bool = False,
        device_ids: list | None = None,
        **kwargs,
    ) -> None:
        names = [name for name, _ in named_sharded_parameters(module)]
        if 'weight' in names:
            raise ValueError(
                'got a ShardedTable as the whole model; DDP can ignore '
                'parameters of submodules only, so put it into a module'
            )
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
            module, names
        )
        on_cpu = all(p.device.type == 'cpu' for p in module.parameters())
        super().__init__(
            module=module,
            broadcast_buffers=broadcast_buffers,
            device_ids=None if on_cpu else device_ids,
            **kwargs,
        )


def check_model_wrapper(model: nn.Module) -> None:
    """Refuse wrappers that would mix up the rows of different ranks.

    Args:
        model: The model as the runner has it, wrapped or not.

    Raises:
        ValueError: It has sharded parameters and is wrapped by anything but
            :class:`ShardedDistributedDataParallel`; on all ranks.
    """
    wrapped = is_model_wrapper(model) or hasattr(model, 'module')
    names = [name for name, _ in named_sharded_parameters(model)]
    if isinstance(model, ShardedDistributedDataParallel) or not names:
        return
    if wrapped:
        raise ValueError(
            f'{names[0]} is different on each rank, but the model is in a '
            f'{type(model).__name__}, which would broadcast, average or '
            're-shard it; set model_wrapper_cfg='
            "dict(type='mmdense.ShardedDistributedDataParallel'). FSDP and "
            'DeepSpeed strategies are not supported'
        )
