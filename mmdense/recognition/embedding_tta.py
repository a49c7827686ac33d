"""Test-time augmentation of embeddings."""

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import BaseDataElement

from mmdense.registry import MODELS


@MODELS.register_module()
class EmbeddingTTAModel(BaseTTAModel):
    """Adds up the embeddings of all views of an image.

    The sum of the embeddings of the image and of its mirror image, scaled
    to length 1 by whoever compares them, is what the field's figures on LFW
    and IJB are made with. `tools/test.py --tta` uses it for models with a
    `mmdense.PartialFCHead`.

    A merged sample has `embedding`, the sum, not normalised, and
    `embedding_norm`, the mean norm over views; classes that were predicted
    from a single view are left out.
    """

    def merge_preds(
        self, data_samples_list: list[list[BaseDataElement]]
    ) -> list[BaseDataElement]:
        """One sample for the views of each image.

        Args:
            data_samples_list: For each image its views, with `embedding`,
                (d,).

        Raises:
            ValueError: The model gives no embeddings.
        """
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: list[BaseDataElement]) -> BaseDataElement:
        if any('embedding' not in view for view in views):
            raise ValueError(
                'EmbeddingTTAModel merges embeddings, but the model predicts '
                f'{sorted(views[0].keys())}; it needs a head such as '
                'mmdense.PartialFCHead'
            )
        embeddings = torch.stack([view.embedding for view in views]).float()
        merged = views[0].new()
        for key in ('pred_label', 'pred_score', 'topk_label', 'topk_score'):
            if key in merged:
                delattr(merged, key)
        merged.set_field(embeddings.sum(dim=0), 'embedding')
        merged.set_field(embeddings.norm(dim=1).mean(), 'embedding_norm')
        return merged
