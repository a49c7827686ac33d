"""Sub-center ArcFace."""

from mmdense.registry import MODELS

from .arcface_loss import ArcFaceLoss


@MODELS.register_module()
class SubCenterArcFaceLoss(ArcFaceLoss):
    """ArcFace with several centers a class, of which the nearest counts.

    Deng et al., "Sub-center ArcFace: Boosting Face Recognition by
    Large-Scale Noisy Web Faces", ECCV 2020, equation 3. All centers of a
    class are on one rank and are sampled together.

    Args:
        scale: s, the factor of all logits.
        margin: m in radians.
        num_subcenters: Centers a class, K.
        easy_margin: Apply the margin only where the cosine is positive.
    """

    def __init__(
        self,
        scale: float = 64.0,
        margin: float = 0.5,
        num_subcenters: int = 3,
        easy_margin: bool = False,
    ) -> None:
        super().__init__(
            scale,
            margin,
            easy_margin=easy_margin,
            num_subcenters=num_subcenters,
        )
