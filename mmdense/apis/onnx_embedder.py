"""Runs an exported embedding network in ONNX Runtime."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..compat.extras import import_extra
from .onnx_metadata import EmbeddingMetadata


class OnnxEmbedder:
    """Embeds batches of images with a file of `export_onnx.py`.

    What has to happen to the pixels is read from the file's metadata.

    Args:
        path: The `.onnx` file.
        device: CUDA needs the package onnxruntime-gpu.

    Attributes:
        metadata: What the file says of itself.
        normalized: Whether the embeddings have length 1.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: onnxruntime is not installed.
        ValueError: It is no file of ours, or the device cannot be had.
    """

    def __init__(
        self, path: str | Path, device: torch.device | None = None
    ) -> None:
        ort = import_extra('onnxruntime', 'onnx', str(path))
        if not Path(path).is_file():
            raise FileNotFoundError(f'{path} does not exist')
        device = device or torch.device('cpu')
        providers: list = ['CPUExecutionProvider']
        if device.type == 'cuda':
            index = device.index
            if index is None:
                index = torch.cuda.current_device()
            providers.insert(
                0, ('CUDAExecutionProvider', dict(device_id=index))
            )
            if 'CUDAExecutionProvider' not in ort.get_available_providers():
                raise ValueError(
                    'the installed onnxruntime cannot use CUDA. Run: pip '
                    'uninstall onnxruntime; pip install onnxruntime-gpu. Or '
                    'choose the device cpu'
                )
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = ort.InferenceSession(
            str(path), options, providers=providers
        )
        self.metadata = EmbeddingMetadata.from_properties(
            self._session.get_modelmeta().custom_metadata_map, str(path)
        )
        self.normalized = self.metadata.normalized
        (input_,) = self._session.get_inputs()
        self._input = input_.name
        self._dtype = np.uint8 if 'uint8' in input_.type else np.float32
        # A name where any size is taken.
        batch = input_.shape[0]
        self._batch_size = batch if isinstance(batch, int) else None

    def __call__(self, images: Tensor) -> Tensor:
        """Embed a batch.

        Args:
            images: (b, c, h, w) as the test pipeline packs them: raw pixels,
                BGR where there are three channels.

        Returns:
            (b, d) float32, normalised if :attr:`normalized`.

        Raises:
            ValueError: The images are of another size than exported.
        """
        size = tuple(self.metadata.input_size)
        if tuple(images.shape[2:]) != size:
            raise ValueError(
                f'got images of {tuple(images.shape[2:])}, expected {size}, '
                'the (height, width) that the network was exported for'
            )
        x = self._prepare(images.numpy())
        if self._batch_size is None:
            return torch.from_numpy(self._run(x))
        step = self._batch_size
        filling = np.repeat(x[:1], -len(x) % step, axis=0)
        padded = np.concatenate([x, filling])
        parts = [
            self._run(padded[start : start + step])
            for start in range(0, len(padded), step)
        ]
        return torch.from_numpy(np.concatenate(parts)[: len(x)])

    def _prepare(self, x: np.ndarray) -> np.ndarray:
        metadata = self.metadata
        if metadata.channel_order == 'rgb':
            x = x[:, ::-1]
        if metadata.preprocessing_in_graph:
            return np.ascontiguousarray(x, self._dtype)
        mean = np.array(metadata.mean, np.float32).reshape(-1, 1, 1)
        std = np.array(metadata.std, np.float32).reshape(-1, 1, 1)
        return (x.astype(np.float32) - mean) / std

    def _run(self, x: np.ndarray) -> np.ndarray:
        (embeddings,) = self._session.run(None, {self._input: x})
        return embeddings
