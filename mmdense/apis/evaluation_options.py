"""What the options of test.py do to a config."""

import inspect
from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS

from ..registry import plain_name
from .config_check.resolve import Resolver


def host_of(cfg: Config) -> str | None:
    """The library that the model of a config is from, or None.

    Args:
        cfg: The config; `default_scope` decides, else the type of the model.
    """
    scope = cfg.get('default_scope')
    if scope is None:
        type_ = cfg.model.get('type', '')
        scope = getattr(type_, '__module__', str(type_)).split('.')[0]
    return scope if scope in ('mmdet', 'mmpretrain') else None


def enable_visualization(
    cfg: Config, show: bool, show_dir: str | None, wait_time: float
) -> None:
    """Switch on the visualization hook of the config.

    Args:
        cfg: The config.
        show: Whether to open a window.
        show_dir: Folder to paint to, or None.
        wait_time: How long a window stays, in seconds.

    Raises:
        ValueError: The config has no such hook.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show and --show-dir need default_hooks.visualization, which '
            'the config does not have. Set it to '
            "dict(type='mmdet.DetVisualizationHook') or "
            "dict(type='mmpretrain.VisualizationHook')"
        )
    resolver = Resolver(cfg.get('default_scope'))
    found = resolver.resolve(hook.type, HOOKS.name, True, hook.get('_scope_'))
    if found.problem is not None:
        raise ValueError(f'default_hooks.visualization: {found.problem}')
    # The hosts call the same things by different names.
    names = inspect.signature(found.target).parameters
    hook['draw' if 'draw' in names else 'enable'] = True
    hook.show = show
    hook.wait_time = wait_time
    if show_dir is not None:
        key = 'test_out_dir' if 'test_out_dir' in names else 'out_dir'
        hook[key] = show_dir


def enable_tta(cfg: Config) -> None:
    """Wrap the model for test-time augmentation.

    `tta_model` and `tta_pipeline` of the config are used; without them the
    host's default, the image and its mirror image. The embeddings of a
    PartialFCHead are added up.

    Raises:
        ValueError: They are missing and the model is from neither host.
    """
    host = host_of(cfg)
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    for key in ('tta_model', 'tta_pipeline'):
        if key not in cfg and host is None:
            raise ValueError(
                f'--tta needs `{key}` in the config: there is a default only '
                'for the default scopes mmdet and mmpretrain, got '
                f'{cfg.get("default_scope")}'
            )
    if 'tta_model' not in cfg:
        cfg.tta_model = _default_tta_model(host, cfg.model)
    if 'tta_pipeline' not in cfg:
        cfg.tta_pipeline = _default_tta_pipeline(host, dataset.pipeline)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def _default_tta_model(host: str, model: ConfigDict) -> ConfigDict:
    head = (model.get('head') or {}).get('type', '')
    if plain_name(head).endswith('PartialFCHead'):
        return ConfigDict(type='mmdense.EmbeddingTTAModel')
    if host == 'mmpretrain':
        return ConfigDict(type='mmpretrain.AverageClsScoreTTA')
    roi_head = (model.get('roi_head') or {}).get('type', '')
    if plain_name(roi_head).endswith('UVRoIHead'):
        raise ValueError(
            "mmdet's test-time augmentation merges boxes and masks and loses "
            'dense pose: evaluate without --tta, or give a tta_model of your '
            'own in the config'
        )
    nms = dict(type='nms', iou_threshold=0.5)
    # mmdet registers it with mmengine, so it goes without a prefix.
    return ConfigDict(
        type='DetTTAModel', tta_cfg=dict(nms=nms, max_per_img=100)
    )


def _default_tta_pipeline(host: str, pipeline: list[Any]) -> list[Any]:
    *first, pack = deepcopy(pipeline)
    flip = 'RandomFlip'
    if host == 'mmdet':
        flip = 'mmdet.RandomFlip'
        # The model has to know which images to mirror back.
        pack.meta_keys = (
            *('img_id', 'img_path', 'ori_shape', 'img_shape'),
            *('scale_factor', 'flip', 'flip_direction'),
        )
    flips = [dict(type=flip, prob=1.0), dict(type=flip, prob=0.0)]
    return [*first, dict(type='TestTimeAug', transforms=[flips, [pack]])]
