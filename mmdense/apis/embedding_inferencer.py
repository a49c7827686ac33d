"""Embeddings of images in a few lines of Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from .embedding_model import TorchEmbedder, as_config, build_embedding_model
from .image_pipeline import ImagePipeline, stack_images

Image = str | Path | np.ndarray


class Embedder(Protocol):
    """Embeds (b, c, h, w) images as the test pipeline packs them.

    Attributes:
        normalized: Whether the embeddings have length 1 already.
    """

    normalized: bool

    def __call__(self, images: Tensor) -> Tensor:
        """The (b, d) float32 embeddings, on the CPU."""
        ...


def build_embedder(
    cfg: Config,
    checkpoint: str | Path,
    device: str | None = None,
    amp: bool = False,
) -> Embedder:
    """What embeds with a checkpoint, or with a model we exported.

    Args:
        cfg: The config.
        checkpoint: A `.pth` file, or an `.onnx` file of
            `tools/deployment/export_onnx.py`.
        device: `'cpu'`, `'cuda:0'` ...; None: the accelerator, if any.
        amp: Whether to use mixed precision.

    Raises:
        ValueError: `amp` with an `.onnx` file; else see
            :func:`~.embedding_model.build_embedding_model` and
            :class:`~.onnx_embedder.OnnxEmbedder`.
    """
    place = torch.device(device or get_device())
    if Path(checkpoint).suffix == '.onnx':
        from .onnx_embedder import OnnxEmbedder

        if amp:
            raise ValueError(
                'mixed precision is for PyTorch; an .onnx file runs in the '
                'precision it was exported in'
            )
        return OnnxEmbedder(checkpoint, place)
    return TorchEmbedder(build_embedding_model(cfg, checkpoint), place, amp)


def embed_batch(
    embedder: Embedder, images: Tensor, flip: bool, normalize: bool
) -> Tensor:
    """Embed a batch, optionally with its mirror images.

    Args:
        embedder: What embeds.
        images: (b, c, h, w) as the test pipeline packs them.
        flip: Whether to add the embedding of the mirror image, as the
            protocols of LFW and IJB do.
        normalize: Whether to scale the (summed) embeddings to length 1.

    Returns:
        (b, d) float32.

    Raises:
        ValueError: `flip` with an embedder that normalises by itself.
    """
    if flip and embedder.normalized:
        raise ValueError(
            'flip adds embeddings before they are normalised, but this model '
            'was exported with --normalize; export it without'
        )
    x = embedder(images)
    if flip:
        x = x + embedder(images.flip(-1))
    return torch.nn.functional.normalize(x) if normalize else x


class EmbeddingInferencer:
    """Embeds image files and arrays with a trained network.

    Of the config it takes the model without its head, the data preprocessor
    and the test pipeline. mmpretrain's `FeatureExtractor` is not its base: it
    builds the head, whose class centers may not fit, and reads all images in
    colour.

    Args:
        config: Path of a config file, or the config.
        checkpoint: A `.pth` file, or an `.onnx` file of
            `tools/deployment/export_onnx.py`.
        device: `'cpu'`, `'cuda:0'` ...; None: the accelerator, if any.
        amp: Whether to use mixed precision.

    Raises:
        FileNotFoundError: The config or the checkpoint does not exist.
        ImportError: A library is missing.
        ValueError: The checkpoint does not fit the config.

    Example:
        >>> embed = EmbeddingInferencer('config.py', 'epoch_20.pth')
        >>> embed(['a.jpg', 'b.jpg'], normalize=True).shape
        (2, 512)
        >>> embed.compare('a.jpg', 'b.jpg')
        0.71
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        device: str | None = None,
        amp: bool = False,
    ) -> None:
        cfg = as_config(config)
        self.pipeline = ImagePipeline(cfg)
        self.embedder = build_embedder(cfg, checkpoint, device, amp)

    def __call__(
        self,
        images: Image | Sequence[Image],
        batch_size: int = 32,
        flip: bool = False,
        normalize: bool = False,
    ) -> np.ndarray:
        """Embed images.

        Args:
            images: One image or n: paths of files, or uint8 arrays (h, w, 3)
                in BGR order, as `cv2.imread` gives them, or (h, w).
            batch_size: Images at a time.
            flip: Whether to add the embedding of the mirror image.
            normalize: Whether to scale the embeddings to length 1.

        Returns:
            (n, d) float32.

        Raises:
            ValueError: There are no images, one cannot be read, or those of
                a batch differ in size.
            TypeError: An image is neither a path nor a uint8 array.
        """
        if isinstance(images, str | Path | np.ndarray):
            images = [images]
        if not len(images) or batch_size < 1:
            raise ValueError(
                f'got {len(images)} images and batch_size={batch_size}, '
                'expected at least 1 of both'
            )
        parts = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            names = [
                f'images[{start + i}]' if isinstance(x, np.ndarray) else str(x)
                for i, x in enumerate(batch)
            ]
            tensors = [self.pipeline(image) for image in batch]
            parts.append(
                embed_batch(
                    self.embedder,
                    stack_images(tensors, names),
                    flip,
                    normalize,
                )
            )
        return torch.cat(parts).numpy()

    def compare(self, a: Image, b: Image, flip: bool = False) -> float:
        """The cosine of the embeddings of two images, in [-1, 1].

        Args:
            a: An image, as in :meth:`__call__`.
            b: The other.
            flip: Whether to add the embeddings of the mirror images.
        """
        x, y = self([a, b], batch_size=1, flip=flip, normalize=True)
        return float(np.clip(x @ y, -1, 1))
