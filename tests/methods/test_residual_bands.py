from __future__ import annotations

import torch

from ultrares.methods.residual_bands import ResidualBands, guide_of
from ultrares.wavelet import split


def test_decode_undoes_encode() -> None:
    bands = ResidualBands((0.01, 0.03, 0.02, 0.015))
    fine, mean = torch.rand(2, 2, 3, 8, 10).unbind()
    torch.testing.assert_close(bands.decode(bands.encode(fine, mean), mean), fine)


def test_each_band_is_divided_by_its_own_deviation() -> None:
    fine = torch.rand(1, 2, 8, 8)
    zero = torch.zeros_like(fine)
    encoded = ResidualBands((1.0, 2.0, 4.0, 8.0)).encode(fine, zero)
    for band, std, part in zip(split(fine), (1, 2, 4, 8), encoded.chunk(4, dim=1), strict=True):
        torch.testing.assert_close(part, band / std)


def test_guide_shows_the_image_and_four_bands_of_its_mean() -> None:
    image, mean = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 8, 8)
    guide = guide_of(image, mean)
    assert guide.shape == (1, 15, 4, 4)
    torch.testing.assert_close(guide[:, :3] + 0.5, image)
    torch.testing.assert_close(2 * (guide[:, 3:6] + 0.5), split(mean).approx)
