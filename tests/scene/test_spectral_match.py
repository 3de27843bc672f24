from __future__ import annotations

import numpy as np

from ultrares.scene.spectral_match import RIDGE, Moments, spectral_match

RNG = np.random.default_rng(2)


def test_an_affine_map_is_found_up_to_the_ridge() -> None:
    reference = RNG.normal(size=(4, 5000))
    weights, offsets = RNG.normal(size=(3, 4)), np.array([5.0, -1.0, 0.2])
    found, base = spectral_match(weights @ reference + offsets[:, None], reference)
    np.testing.assert_allclose(found, weights / (1 + RIDGE), atol=0.02)
    np.testing.assert_allclose(base, offsets, atol=0.02)


def test_windows_add_up_to_the_whole() -> None:
    scene, reference = RNG.random((2, 300)), RNG.random((3, 300))
    moments = Moments(2, 3)
    for start in range(0, 300, 70):
        moments.add(scene[:, start : start + 70], reference[:, start : start + 70])
    for ours, whole in zip(moments.solve(), spectral_match(scene, reference), strict=True):
        np.testing.assert_allclose(ours, whole, rtol=1e-9, atol=1e-12)


def test_noise_explains_nothing_and_constants_do_no_harm() -> None:
    scene = RNG.normal(size=(2, 20000))
    weights, _ = spectral_match(scene, RNG.normal(size=(3, 20000)))
    assert np.abs(weights).max() < 0.03
    weights, offsets = spectral_match(scene, np.full((2, 20000), 7000.0))
    assert np.abs(weights).max() < 1e-3
    np.testing.assert_allclose(weights @ [7000.0, 7000.0] + offsets, scene.mean(axis=1), atol=1e-6)
