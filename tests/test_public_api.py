"""The public surface is a promise: it changes only together with this list."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ultrares

PUBLIC = [
    "Backbone",
    "Model",
    "UltraresError",
    "__version__",
    "check",
    "degrade",
    "evaluate",
    "load",
    "models",
    "plan_scene",
    "upscale_scene",
]


def test_the_public_names_are_those_listed_here():
    assert ultrares.__all__ == PUBLIC
    assert sorted(ultrares.__all__) == ultrares.__all__
    assert dir(ultrares) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_had(name):
    assert getattr(ultrares, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'upscale_everything'"):
        ultrares.upscale_everything  # noqa: B018


@pytest.mark.parametrize(
    "statement", ["import ultrares", "from ultrares.cli.app import app_for; app_for([])"]
)
def test_importing_is_light(statement):
    heavy = "{'torch', 'rasterio', 'numpy', 'odc'}"
    code = f"import sys; {statement}; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
