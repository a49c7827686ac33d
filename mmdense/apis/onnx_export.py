"""Export of an embedding network to ONNX, checked in ONNX Runtime."""

import inspect
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, DefaultScope
from torch import Tensor, nn

from ..compat.extras import import_extra
from ..distributed.atomic_files import (
    partial_path,
    sha256_of,
    write_atomically,
)
from ..version import __version__
from .embedding_model import (
    TorchEmbedder,
    as_config,
    build_embedding_model,
    last_vectors,
)
from .image_pipeline import ImagePipeline, stack_images, test_dataset
from .onnx_embedder import OnnxEmbedder
from .onnx_metadata import EmbeddingMetadata

INPUT, OUTPUT = 'data', 'embedding'
# The highest that the exporter of every torch from 2.2 on writes.
OPSET = 17
# Protocol buffers cannot be longer; some room for the graph.
_MAX_BYTES = 2**31 - 2**24
_ADVICE = (
    'Nothing was written. If the batch size matters, the code of the network '
    'takes it for a constant: give --batch-size'
)


class EmbeddingGraph(nn.Module):
    """What is exported: pixels in, embeddings out.

    Args:
        model: Of :func:`~.embedding_model.build_embedding_model`.
        metadata: Says what is in the graph.
        reverse_channels: Whether the network wants BGR where the input is
            RGB.
    """

    def __init__(
        self,
        model: BaseModel,
        metadata: EmbeddingMetadata,
        reverse_channels: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.preprocess = metadata.preprocessing_in_graph
        self.normalize = metadata.normalized
        self.reverse_channels = reverse_channels
        for name in ('mean', 'std'):
            values = torch.tensor(getattr(metadata, name))
            self.register_buffer(name, values.view(-1, 1, 1))

    def forward(self, data: Tensor) -> Tensor:
        """From (b, c, h, w) to (b, d)."""
        x = data
        if self.preprocess:
            x = (x.float() - self.mean) / self.std
            if self.reverse_channels:
                x = x[:, [2, 1, 0]]
        x = last_vectors(self.model.extract_feat(x))
        return nn.functional.normalize(x) if self.normalize else x


def find_input_size(cfg: Config, pipeline: ImagePipeline) -> tuple[int, int]:
    """The (height, width) of test images.

    That is what the test pipeline brings every image to; if it leaves the
    size as it is, the size of the first test image.

    Raises:
        ValueError: There is no test image either.
    """
    _, size = pipeline.fixed_shape()
    if size is not None:
        return size
    try:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            first = DATASETS.build(test_dataset(cfg))[0]
    except OSError as error:
        raise ValueError(
            'the test pipeline does not fix the size of images, and the test '
            f'data cannot be read ({error}); give --input-size HEIGHT WIDTH'
        ) from error
    height, width = first['inputs'].shape[-2:]
    return height, width


def _describe(
    model: BaseModel, channels: int, input_size: tuple[int, int]
) -> tuple[str, list[float], list[float]]:
    """Channel order of the network, mean and std per channel."""
    from mmpretrain.models.utils import ClsDataPreprocessor

    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, ClsDataPreprocessor):
        raise TypeError(
            f'got the data_preprocessor {type(preprocessor).__name__}, '
            'expected mmpretrain.ClsDataPreprocessor: its mean, std and '
            'channel order are written to the file'
        )
    divisor = preprocessor.pad_size_divisor
    if any(length % divisor for length in input_size):
        raise ValueError(
            f'the input size {input_size} is not a multiple of '
            f'pad_size_divisor={divisor} of the data_preprocessor, and '
            'padding is not exported; give --input-size'
        )
    order = 'gray'
    if channels == 3:
        order = 'rgb' if preprocessor.to_rgb else 'bgr'
    values = []
    for name, default in [('mean', 0.0), ('std', 1.0)]:
        buffer = getattr(preprocessor, name, torch.tensor([default]))
        values.append(buffer.float().flatten().expand(channels).tolist())
    return order, *values


def export_onnx(
    config: str | Path | Config,
    checkpoint: str | Path,
    out: str | Path,
    *,
    normalize: bool = False,
    with_preprocessing: bool = False,
    input_size: tuple[int, int] | None = None,
    input_dtype: str = 'float32',
    batch_size: int | None = None,
    images: Sequence[str | Path] = (),
    tolerance: float = 1e-4,
) -> tuple[EmbeddingMetadata, dict[str, float]]:
    """Export a network, and check it in ONNX Runtime before it is kept.

    The exporter is PyTorch's older one, by tracing: it is in every version
    from 2.2 on and needs no other package than onnx. The newer one
    (`dynamo=True`) came later, needs onnxscript and took ten times as long
    for the same numbers.

    Args:
        config: Path of a config file, or the config.
        checkpoint: A `.pth` file.
        out: The `.onnx` file to write.
        normalize: Whether the graph scales embeddings to length 1.
        with_preprocessing: Whether mean, std and channel order are in the
            graph, so that raw RGB (or grey) pixels in [0, 255] go in.
        input_size: (height, width); None: see :func:`find_input_size`.
        input_dtype: `'float32'`, or with preprocessing also `'uint8'`.
        batch_size: A fixed batch size, for networks whose code takes it for
            a constant; None: any.
        images: Files to check with, beside random pixels.
        tolerance: Largest difference that is accepted, relative to the
            largest entry of the embeddings.

    Returns:
        The metadata, and the difference to PyTorch of each check.

    Raises:
        ImportError: onnx or onnxruntime is not installed.
        ValueError: Options contradict each other, the network cannot be
            exported, or it gives other embeddings than PyTorch.
    """
    onnx = import_extra('onnx', 'onnx', 'export to ONNX')
    import_extra('onnxruntime', 'onnx', 'export to ONNX')
    if input_dtype not in ('float32', 'uint8'):
        raise ValueError(
            f'input_dtype must be float32 or uint8, got {input_dtype}'
        )
    if input_dtype == 'uint8' and not with_preprocessing:
        raise ValueError(
            'uint8 input needs --with-preprocessing: normalised pixels are '
            'no whole numbers'
        )
    cfg = as_config(config)
    pipeline = ImagePipeline(cfg)
    channels, _ = pipeline.fixed_shape()
    size = input_size or find_input_size(cfg, pipeline)
    model = build_embedding_model(cfg, checkpoint)
    embedder = TorchEmbedder(model, torch.device('cpu'))
    order, mean, std = _describe(model, channels, size)
    length = embedder(_random_pixels(2, channels, size)).shape[1]
    reverse = with_preprocessing and order == 'bgr'
    if reverse:
        order, mean, std = 'rgb', mean[::-1], std[::-1]
    metadata = EmbeddingMetadata(
        input_size=size,
        channel_order=order,
        mean=mean,
        std=std,
        preprocessing_in_graph=with_preprocessing,
        pipeline=pipeline.transforms,
        embedding_length=length,
        normalized=normalize,
        config=Path(cfg.filename).stem if cfg.filename else '',
        checkpoint_sha256=sha256_of(Path(checkpoint)),
        mmdense_version=__version__,
    )
    graph = EmbeddingGraph(model, metadata, reverse).eval()
    example = _random_pixels(batch_size or 2, channels, size)
    content = _trace(
        graph, example.to(getattr(torch, input_dtype)), batch_size is None
    )
    proto = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(proto, metadata.to_properties())
    onnx.checker.check_model(proto)

    out = Path(out)
    partial = partial_path(out)
    write_atomically(partial, proto.SerializeToString())
    try:
        exported = OnnxEmbedder(partial)
        differences = {}
        for name, batch in _checks(pipeline, channels, size, images):
            difference = _difference(embedder, exported, name, batch)
            if not difference <= tolerance:
                raise ValueError(
                    f'{name}: the exported network differs from PyTorch by '
                    f'{difference:.1e} of the largest entry, expected at '
                    f'most {tolerance:g}. {_ADVICE}'
                )
            differences[name] = difference
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return metadata, differences


def _trace(graph: nn.Module, example: Tensor, any_batch: bool) -> bytes:
    size = sum(p.numel() * p.element_size() for p in graph.parameters())
    if size > _MAX_BYTES:
        raise ValueError(
            f'the network has {size / 2**30:.2f} GiB of weights, expected '
            'less than 2 GiB, the limit of an .onnx file'
        )
    options = {}
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        options['dynamo'] = False
    if any_batch:
        options['dynamic_axes'] = {INPUT: {0: 'batch'}, OUTPUT: {0: 'batch'}}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Of shapes that are taken for constants, which the checks with
        # several batch sizes are about, and of the exporter's age.
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        warnings.simplefilter('ignore', DeprecationWarning)
        torch.onnx.export(
            graph,
            (example,),
            buffer,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            **options,
        )
    return buffer.getvalue()


def _random_pixels(batch: int, channels: int, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    shape = (batch, channels, *size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def _checks(
    pipeline: ImagePipeline,
    channels: int,
    size: tuple[int, int],
    images: Iterable[str | Path],
) -> Iterator[tuple[str, Tensor]]:
    # More than one of each kind: 1 is often special, and the network was
    # traced with 2.
    for batch in (1, 2, 5):
        yield (
            f'random pixels, batch {batch}',
            _random_pixels(batch, channels, size),
        )
    for path in images:
        yield str(path), stack_images([pipeline(path)], [str(path)])


def _difference(
    embedder: TorchEmbedder, exported: OnnxEmbedder, name: str, batch: Tensor
) -> float:
    expected = embedder(batch)
    if exported.normalized:
        expected = nn.functional.normalize(expected)
    try:
        embeddings = exported(batch)
    except Exception as error:
        # ONNX Runtime's have no common base but this.
        raise ValueError(
            f'{name}: ONNX Runtime cannot run the exported network. {_ADVICE}'
            f'. {error}'
        ) from error
    difference = (embeddings - expected).abs().max()
    return float(difference / expected.abs().max())
