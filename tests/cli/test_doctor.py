"""The doctor looks at this very installation, with a double for its models."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest
import rasterio
import torch


@pytest.mark.usefixtures("api")
def test_a_healthy_installation_exits_0(run):
    outcome = run("doctor", "--json")
    facts = json.loads(outcome.stdout)
    assert outcome.status == 0
    assert facts["problems"] == []
    assert facts["torch"] == torch.__version__
    assert facts["gdal"] == rasterio.__gdal_version__
    assert facts["drivers"]["COG"] is True
    assert facts["models"] == {"double": "intact"}


def test_a_damaged_model_exits_1(run, api):
    api.models = [dataclasses.replace(api.models[0], present=False)]
    outcome = run("doctor")
    assert outcome.status == 1
    assert "double damaged" in outcome.stdout
    assert "the checksum differs" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.usefixtures("api")
def test_a_missing_dependency_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    outcome = run("doctor")
    assert outcome.status == 1
    assert "cannot import psutil" in outcome.stderr
    assert "gdal" in outcome.stdout


@pytest.mark.usefixtures("api")
def test_a_missing_driver_is_named(run, monkeypatch):
    monkeypatch.setattr("ultrares.cli.diagnosis.ESSENTIAL_DRIVERS", ("GTiff", "NoSuchDriver"))
    outcome = run("doctor")
    assert outcome.status == 1
    assert "GDAL lacks the driver NoSuchDriver" in outcome.stderr


def test_a_package_without_weights_exits_1(run, api):
    api.models = [dataclasses.replace(api.models[0], name="bicubic", path=None)]
    outcome = run("doctor")
    assert outcome.status == 1
    assert "no model with weights is embedded" in outcome.stderr
