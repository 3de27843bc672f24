"""The double that the other tests of the command line use has the form of the real thing."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

from tests.cli.conftest import FakeDegradeReport, FakeModelInfo, FakeUpscaleReport
from ultrares import api as real


@pytest.mark.parametrize(
    ("double", "original"),
    [
        (FakeUpscaleReport, "UpscaleReport"),
        (FakeDegradeReport, "DegradeReport"),
        (FakeModelInfo, "ModelInfo"),
    ],
)
def test_reports_have_the_same_fields(double, original):
    names = [field.name for field in fields(getattr(real, original))]
    assert [field.name for field in fields(double)] == names


@pytest.mark.parametrize(
    "arguments",
    [
        ("upscale", "in.tif", "out.tif", "--scale", "4"),
        ("plan", "in.tif", "--gsd", "2"),
        ("check", "sr.tif", "lr.tif"),
        ("degrade", "in.tif", "out.tif", "--scale", "4"),
        ("info", "in.tif"),
        ("info", "model"),
        ("models",),
        ("doctor",),
    ],
)
def test_calls_fit_the_real_signatures(run, api, arguments):
    run(*arguments)
    assert api.calls
    for name, positional, options in api.calls:
        inspect.signature(getattr(real, name)).bind(*positional, **options)
