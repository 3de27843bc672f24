"""The schemas of STAC extensions, which are online and in no light package: read from a folder where there is one.

`CONTRIBUTING.md` says where to get them from without a hub.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = os.environ.get("ULTRARES_STAC_SCHEMAS")
"""Folder of JSON schemas, of any names: what a file is a schema of is in its ``$id``."""

REASON = "ULTRARES_STAC_SCHEMAS names no folder with the schemas of STAC extensions"


@cache
def extension_schemas() -> dict[str, dict[str, Any]]:
    """The schemas at hand, by the address that an item names them with."""
    if FOLDER is None:
        return {}
    found = [json.loads(path.read_text()) for path in Path(FOLDER).glob("*.json")]
    return {schema["$id"].removesuffix("#"): schema for schema in found}


def misfits(item: dict[str, Any]) -> Iterator[str]:
    """What the schemas at hand find wrong with an item, by the extensions that it names."""
    for address in item["stac_extensions"]:
        if schema := extension_schemas().get(address):
            yield from (f"{address}: {error.message}" for error in _validator(schema)(item))


def _validator(schema: dict[str, Any]) -> Any:
    import jsonschema
    import pyproj
    from pystac.validation.local_validator import get_local_schema_cache
    from referencing import Registry
    from referencing.jsonschema import DRAFT7

    projjson = Path(pyproj.datadir.get_data_dir()) / "projjson.schema.json"
    known = get_local_schema_cache() | {
        "https://proj.org/schemas/v0.7/projjson.schema.json": json.loads(projjson.read_text())
    }
    resources = [(address, DRAFT7.create_resource(text)) for address, text in known.items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return jsonschema.Draft7Validator(schema, registry=registry).iter_errors
