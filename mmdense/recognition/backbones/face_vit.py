"""The vision transformer of Partial FC."""

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from mmdense.registry import MODELS

from .checkpointing import run_blocks

_ARCHS = {
    't': dict(embed_dims=256, num_layers=12, num_heads=8),
    's': dict(embed_dims=512, num_layers=12, num_heads=8),
    'b': dict(embed_dims=512, num_layers=24, num_heads=8),
    'l': dict(embed_dims=768, num_layers=24, num_heads=8),
    'h': dict(embed_dims=1024, num_layers=48, num_heads=8),
}


class _Attention(nn.Module):
    """Self-attention whose softmax is in full precision under autocast."""

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=False)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        # (b, heads, tokens, channels of a head) each.
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        with torch.autocast(x.device.type, enabled=False):
            dtype = self.qkv.weight.dtype
            y = F.scaled_dot_product_attention(
                query.to(dtype), key.to(dtype), value.to(dtype)
            )
        return self.proj(y.transpose(1, 2).flatten(2))


class _MLP(nn.Module):
    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, 4 * embed_dims)
        self.fc2 = nn.Linear(4 * embed_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu6(self.fc1(x)))


class FaceViTBlock(nn.Module):
    """Pre-norm attention and MLP.

    Args:
        embed_dims: Channels of a token.
        num_heads: Heads of the attention.
        drop_path: Probability to leave a branch out, per sample.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.attn = _Attention(embed_dims, num_heads)
        self.mlp = _MLP(embed_dims)
        self.drop_path = StochasticDepth(drop_path, 'row')

    def forward(self, x: Tensor) -> Tensor:
        """From (b, tokens, embed_dims) to the same."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class _PatchEmbed(nn.Module):
    def __init__(self, embed_dims: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dims, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


@MODELS.register_module()
class FaceViT(BaseModule):
    """Vision transformer for aligned faces: no class token, ReLU6.

    The ViT of insightface's arcface_torch (An et al., "Killing Two Birds with
    One Stone", CVPR 2022), with its names of parameters but for the neck's.
    The 12 x 12 patches of a 112 x 112 image leave out its last 4 rows and
    columns. `mmdense.BottleneckEmbeddingNeck(in_channels=embed_dims,
    spatial_size=12)` makes it the published network.

    In training a share of the tokens can be left out, at random for each
    image; a learned vector stands in for them in the output (He et al.,
    "Masked autoencoders", CVPR 2022). arcface_torch leaves out 10 % whatever
    its `mask_ratio` above 0 says: to train as it does, give 0.1 here.

    Args:
        arch: 't', 's', 'b', 'l' or 'h', of (256, 12), (512, 12), (512, 24),
            (768, 24) and (1024, 48) (channels, blocks) with 8 heads, or a dict
            of `embed_dims`, `num_layers` and `num_heads`.
        img_size: Height and width of the images in pixels.
        patch_size: Height and width of a patch in pixels.
        drop_path_rate: Probability to leave out a branch of the last block,
            growing linearly from 0 in the first.
        mask_ratio: Share of the tokens to leave out in training, in [0, 1).
        with_cp: Gradient checkpointing of each block: less memory, about a
            third more time, the same gradients.
        init_cfg: mmengine's initialisation config; by default linear layers
            are drawn from a truncated N(0, 0.02).

    Raises:
        ValueError: The arch is unknown, heads do not divide the channels, the
            image is smaller than a patch, or a rate is not in [0, 1).
    """

    def __init__(
        self,
        arch: str | dict = 't',
        img_size: int = 112,
        patch_size: int = 9,
        drop_path_rate: float = 0.05,
        mask_ratio: float = 0.0,
        with_cp: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='TruncNormal', layer='Linear', std=0.02)
        )
        dims, layers, heads = _read_arch(arch)
        if img_size < patch_size:
            raise ValueError(
                f'img_size is {img_size}, expected at least one patch of '
                f'{patch_size} pixels'
            )
        for name, rate in (
            ('drop_path_rate', drop_path_rate),
            ('mask_ratio', mask_ratio),
        ):
            if not 0 <= rate < 1:
                raise ValueError(f'{name} must be in [0, 1), got {rate}')
        self.embed_dims = dims
        self.img_size = img_size
        self.side = img_size // patch_size
        self.mask_ratio = mask_ratio
        self.with_cp = with_cp
        self.patch_embed = _PatchEmbed(dims, patch_size)
        self.pos_embed = nn.Parameter(torch.empty(1, self.side**2, dims))
        # Frozen where nothing uses it: DDP waits for the gradients of all
        # trainable parameters.
        self.mask_token = nn.Parameter(
            torch.empty(1, 1, dims), requires_grad=mask_ratio > 0
        )
        self.blocks = nn.ModuleList(
            [
                FaceViTBlock(dims, heads, rate)
                for rate in np.linspace(0, drop_path_rate, layers).tolist()
            ]
        )
        self.norm = nn.LayerNorm(dims)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The last map.

        Args:
            x: (b, 3, img_size, img_size) images.

        Returns:
            A tuple of one (b, embed_dims, side, side) tensor, with side =
            img_size // patch_size. Under autocast the patch embedding and the
            softmax are computed in full precision, as published.

        Raises:
            ValueError: The images have another size.
        """
        if tuple(x.shape[2:]) != (self.img_size, self.img_size):
            raise ValueError(
                f'got images of {tuple(x.shape[2:])} pixels, expected '
                f'{(self.img_size, self.img_size)}; set img_size of FaceViT'
            )
        with torch.autocast(x.device.type, enabled=False):
            x = self.patch_embed(x.to(self.pos_embed.dtype)) + self.pos_embed
        masked = self.training and self.mask_ratio > 0
        if masked:
            x, places = self._leave_out(x)
        x = self.norm(run_blocks(self.blocks, x, self.with_cp))
        if masked:
            x = self._fill_in(x, places)
        return (x.transpose(1, 2).unflatten(2, (self.side, self.side)),)

    def _leave_out(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens that stay, in random order, and their (b, n) places."""
        batch, tokens, dims = x.shape
        noise = torch.rand(batch, tokens, device=x.device)
        left = max(1, int(tokens * (1 - self.mask_ratio)))
        places = noise.argsort(1)[:, :left]
        return x.gather(1, places[..., None].expand(-1, -1, dims)), places

    def _fill_in(self, x: Tensor, places: Tensor) -> Tensor:
        """The tokens at their places among mask tokens."""
        full = self.mask_token.to(x.dtype).repeat(len(x), self.side**2, 1)
        return full.scatter(1, places[..., None].expand_as(x), x)


def _read_arch(arch: str | dict) -> tuple[int, int, int]:
    if isinstance(arch, str):
        if arch not in _ARCHS:
            raise ValueError(
                f'arch must be one of {tuple(_ARCHS)}, got {arch!r}'
            )
        arch = _ARCHS[arch]
    names = ('embed_dims', 'num_layers', 'num_heads')
    if set(arch) != set(names):
        raise ValueError(
            f'arch has {sorted(arch)}, expected {", ".join(names)}'
        )
    dims, layers, heads = (arch[name] for name in names)
    if dims % heads:
        raise ValueError(
            f'embed_dims is {dims}, expected a multiple of num_heads, {heads}'
        )
    return dims, layers, heads
