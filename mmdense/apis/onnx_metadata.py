"""What an exported network says of itself, in the metadata of the file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass
class EmbeddingMetadata:
    """`metadata_props` of an exported embedding network.

    In the file texts are as they are, all else is JSON.

    Attributes:
        input_size: (height, width) in pixels.
        channel_order: `'rgb'`, `'bgr'` or `'gray'`: what the input must be.
        mean: Per channel, in `channel_order`.
        std: Per channel, in `channel_order`.
        preprocessing_in_graph: Whether the graph itself computes
            (x - mean) / std; else whoever runs it has to.
        pipeline: Configs of the transforms between reading an image and the
            normalisation, such as resizing. None of them is in the graph.
        embedding_length: d.
        normalized: Whether the graph scales embeddings to length 1.
        config: Name of the config.
        checkpoint_sha256: Of the checkpoint file, in hexadecimal digits.
        mmdense_version: What exported it.
    """

    input_size: tuple[int, int]
    channel_order: str
    mean: list[float]
    std: list[float]
    preprocessing_in_graph: bool
    pipeline: list[dict[str, Any]]
    embedding_length: int
    normalized: bool
    config: str
    checkpoint_sha256: str
    mmdense_version: str

    def to_properties(self) -> dict[str, str]:
        """The entries of `metadata_props`."""
        # Types of pure-Python configs are classes.
        return {
            key: value
            if isinstance(value, str)
            else json.dumps(value, default=str)
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_properties(
        cls, properties: Mapping[str, str], source: str
    ) -> 'EmbeddingMetadata':
        """The inverse of :meth:`to_properties`.

        Args:
            properties: All entries of a file.
            source: Name of the file, for the message.

        Raises:
            ValueError: Entries are missing.
        """
        names = {field.name: field.type for field in fields(cls)}
        missing = [name for name in names if name not in properties]
        if missing:
            raise ValueError(
                f'{source} lacks {missing[0]!r} in its metadata, expected an '
                'embedding network that tools/deployment/export_onnx.py '
                'exported'
            )
        return cls(
            **{
                name: properties[name]
                if type_ is str
                else json.loads(properties[name])
                for name, type_ in names.items()
            }
        )
