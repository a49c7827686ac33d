"""A trained embedding network, without its head."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

from ..distributed.checkpoint_files import load_plain
from .config_file import load_config
from .libraries import require_libraries


def as_config(config: str | Path | Config) -> Config:
    """A config, read from its file unless it is one already.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: It needs a library that is not installed.
    """
    if not isinstance(config, Config):
        config = load_config(str(config))
    require_libraries(config, config.filename or 'the config')
    return config


def build_embedding_model(cfg: Config, checkpoint: str | Path) -> BaseModel:
    """Build the model of a config for embedding alone, and load its weights.

    The head is left out, so that no class centers are allocated.

    Args:
        cfg: The config; its model has `extract_feat`, as
            `mmpretrain.ImageClassifier` and `ImageToImageRetriever` have.
        checkpoint: A `.pth` file of tensors and plain types.

    Returns:
        The model in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        TypeError: The model gives no features.
        ValueError: The checkpoint cannot be read safely, or is of another
            network.
    """
    model_cfg = deepcopy(cfg.model)
    if 'head' in model_cfg:
        model_cfg.head = None
    # What the Runner does.
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    scope = cfg.get('default_scope')
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(model_cfg)
    if not hasattr(model, 'extract_feat'):
        raise TypeError(
            f'got the model {type(model).__name__}, expected one with '
            '`extract_feat`, such as mmpretrain.ImageClassifier'
        )
    _load_weights(model, Path(checkpoint))
    return model.eval()


def _load_weights(model: BaseModel, path: Path) -> None:
    state = load_plain(path)
    state = state.get('state_dict', state)
    try:
        keys = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        raise ValueError(
            f'{path} is of another network than the config: {error}'
        ) from error
    unexpected = [k for k in keys.unexpected_keys if not k.startswith('head.')]
    for what, names in [
        ('lacks', keys.missing_keys),
        ('has beside those of the config', unexpected),
    ]:
        if names:
            raise ValueError(
                f'{path} is of another network than the config: it {what} '
                f'{len(names)} tensors, {names[0]} for instance. Give the '
                'config that it was trained with'
            )


def last_vectors(feats: Tensor | Sequence[Tensor]) -> Tensor:
    """The embeddings among a network's outputs, the last of them.

    Raises:
        ValueError: They are not (b, d) vectors.
    """
    x = feats[-1] if isinstance(feats, tuple | list) else feats
    if x.ndim != 2:
        raise ValueError(
            f'the network gives features of shape {tuple(x.shape)}, expected '
            '(batch, d) embeddings; put mmdense.EmbeddingNeck behind the '
            'backbone'
        )
    return x


class TorchEmbedder:
    """Embeds batches of images with PyTorch.

    Args:
        model: Of :func:`build_embedding_model`.
        device: Where to run it.
        amp: Whether to use mixed precision: float16, on the CPU bfloat16.
    """

    normalized = False

    def __init__(
        self, model: BaseModel, device: torch.device, amp: bool = False
    ) -> None:
        self.model = model.to(device)
        self.device = device
        self.amp = amp

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Embed a batch.

        Args:
            images: (b, c, h, w) as the test pipeline packs them: raw pixels,
                BGR where there are three channels.

        Returns:
            (b, d) float32 on the CPU, not normalised.
        """
        with torch.autocast(self.device.type, enabled=self.amp):
            data = self.model.data_preprocessor(dict(inputs=images))
            feats = self.model.extract_feat(data['inputs'])
        return last_vectors(feats).float().cpu()
