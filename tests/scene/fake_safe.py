"""Sentinel-2 products of a few pixels, in the folders and metadata of the format's public specification.

Only what GDAL's SENTINEL2 driver looks at is there: names, quantification and offsets, where the tile lies.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from affine import Affine

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
NATIVE = {10: ("B02", "B03", "B04", "B08"), 20: ("B05", "B06", "B07", "B8A", "B11", "B12")}
L1C_60 = ("B01", "B09", "B10")
L2A_60 = ("B01", "B09")
CORNER = 399_960.0, 6_200_040.0
ZONE = 32630

Level = Literal["1C", "2A"]


@dataclass(frozen=True)
class FakeSafe:
    """A product as it is written to disk.

    Attributes:
        level: ``1C`` or ``2A``.
        offset: What has to be added to a digital number before it is divided by 10,000; None for products
            before baseline 04.00, which do not say it.
        side: Pixels a side of the 60 m bands; 10 m bands have six times as many.
        seed: Of the pixels.
    """

    level: Level = "2A"
    offset: int | None = -1000
    side: int = 4
    seed: int = 0
    pixels: dict[str, np.ndarray] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        """The product's name, from which GDAL knows a zipped one."""
        baseline = "N0301" if self.offset is None else "N0509"
        return f"S2B_MSIL{self.level}_20230823T095559_{baseline}_R122_T30UCF_20230823T124759.SAFE"

    @property
    def granule(self) -> str:
        """Name of its only granule's folder."""
        return f"L{self.level}_T30UCF_A033753_20230823T095553"

    def write(self, folder: Path) -> Path:
        """Write the product below a folder and return its own."""
        root = folder / self.name
        rng = np.random.default_rng(self.seed)
        images = []
        for resolution, names in self._layout().items():
            size = self.side * 60 // resolution
            for name in names:
                stem = self._stem(name, resolution)
                image = rng.integers(1000, 6000, (1, size, size)).astype(np.uint16)
                image[:, :2, :3] = 0
                _write_jp2(root / f"{stem}.jp2", image, resolution)
                self.pixels[f"{name}_{resolution}"] = image[0]
                images.append(stem)
        (root / f"MTD_MSIL{self.level}.xml").write_text(self._product_xml(images))
        (root / "GRANULE" / self.granule / "MTD_TL.xml").write_text(self._tile_xml())
        (root / "manifest.safe").write_text("<xfdu:XFDU xmlns:xfdu='urn:ccsds'/>")
        return root

    def zip(self, root: Path, folder: Path) -> Path:
        """Zip a written product, as it is delivered."""
        return Path(shutil.make_archive(str(folder / root.name), "zip", root.parent, root.name))

    def _layout(self) -> dict[int, tuple[str, ...]]:
        if self.level == "1C":
            return NATIVE | {60: L1C_60}
        extra = ("AOT", "WVP")
        return {10: NATIVE[10] + extra, 20: (*NATIVE[20], *extra, "SCL"), 60: (*L2A_60, *extra)}

    def _stem(self, name: str, resolution: int) -> str:
        base = f"GRANULE/{self.granule}/IMG_DATA"
        if self.level == "1C":
            return f"{base}/T30UCF_20230823T095559_{name}"
        return f"{base}/R{resolution}m/T30UCF_20230823T095559_{name}_{resolution}m"

    def _product_xml(self, images: list[str]) -> str:
        files = "".join(f"<IMAGE_FILE>{image}</IMAGE_FILE>" for image in images)
        kind, short = ("TOA", "RADIO") if self.level == "1C" else ("BOA", "BOA")
        offsets = "" if self.offset is None else _offsets(kind, short, self.offset)
        spectral = "".join(
            f"<Spectral_Information bandId='{i}' physicalBand='{_physical(name)}'/>"
            for i, name in enumerate(BANDS)
        )
        quantity = "<QUANTIFICATION_VALUE unit='none'>10000</QUANTIFICATION_VALUE>"
        if self.level == "2A":
            quantity = (
                "<QUANTIFICATION_VALUES_LIST>"
                "<BOA_QUANTIFICATION_VALUE unit='none'>10000</BOA_QUANTIFICATION_VALUE>"
                "<AOT_QUANTIFICATION_VALUE unit='none'>1000.0</AOT_QUANTIFICATION_VALUE>"
                "<WVP_QUANTIFICATION_VALUE unit='cm'>1000.0</WVP_QUANTIFICATION_VALUE>"
                "</QUANTIFICATION_VALUES_LIST>"
            )
        root = f"n1:Level-{self.level}_User_Product"
        space = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{self.level}.xsd"
        return (
            f"<{root} xmlns:n1='{space}'><n1:General_Info><Product_Info>"
            f"<PRODUCT_URI>{self.name}</PRODUCT_URI>"
            f"<PROCESSING_LEVEL>Level-{self.level}</PROCESSING_LEVEL>"
            f"<PRODUCT_TYPE>S2MSI{self.level}</PRODUCT_TYPE>"
            f"<PROCESSING_BASELINE>{'03.01' if self.offset is None else '05.09'}</PROCESSING_BASELINE>"
            "<Datatake datatakeIdentifier='GS2B_20230823T095559_033753_N05.09'>"
            "<SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME></Datatake>"
            "<Query_Options completeSingleTile='true'><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>"
            "</Query_Options><Product_Organisation><Granule_List>"
            f"<Granule granuleIdentifier='S2B_OPER_MSI_L{self.level}_TL_2BPS_20230823T124759"
            f"_A033753_T30UCF_N05.09' imageFormat='JPEG2000'>{files}</Granule>"
            "</Granule_List></Product_Organisation></Product_Info><Product_Image_Characteristics>"
            "<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>"
            "<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>"
            "<Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>"
            "<SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>"
            f"{quantity}{offsets}<Spectral_Information_List>{spectral}</Spectral_Information_List>"
            f"</Product_Image_Characteristics></n1:General_Info></{root}>"
        )

    def _tile_xml(self) -> str:
        grids = "".join(
            f"<Size resolution='{r}'><NROWS>{self.side * 60 // r}</NROWS>"
            f"<NCOLS>{self.side * 60 // r}</NCOLS></Size>"
            f"<Geoposition resolution='{r}'><ULX>{CORNER[0]:.0f}</ULX><ULY>{CORNER[1]:.0f}</ULY>"
            f"<XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>"
            for r in (10, 20, 60)
        )
        root = f"n1:Level-{self.level}_Tile_ID"
        space = (
            f"https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{self.level}_Tile_Metadata.xsd"
        )
        return (
            f"<{root} xmlns:n1='{space}'><n1:General_Info>"
            f"<TILE_ID>S2B_OPER_MSI_L{self.level}_TL_2BPS_20230823T124759_A033753_T30UCF_N05.09</TILE_ID>"
            "</n1:General_Info><n1:Geometric_Info><Tile_Geocoding metadataLevel='Brief'>"
            "<HORIZONTAL_CS_NAME>WGS84 / UTM zone 30N</HORIZONTAL_CS_NAME>"
            f"<HORIZONTAL_CS_CODE>EPSG:{ZONE}</HORIZONTAL_CS_CODE>{grids}"
            f"</Tile_Geocoding></n1:Geometric_Info></{root}>"
        )


def _offsets(kind: str, short: str, offset: int) -> str:
    one = "".join(
        f"<{short}_ADD_OFFSET band_id='{i}'>{offset}</{short}_ADD_OFFSET>"
        for i in range(len(BANDS))
    )
    name = "Radiometric_Offset_List" if kind == "TOA" else "BOA_ADD_OFFSET_VALUES_LIST"
    return f"<{name}>{one}</{name}>"


def _physical(name: str) -> str:
    return "B8A" if name == "B8A" else f"B{int(name[1:])}"


def _write_jp2(path: Path, pixels: np.ndarray, resolution: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        count=1,
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype="uint16",
        crs=f"EPSG:{ZONE}",
        transform=Affine(resolution, 0, CORNER[0], 0, -resolution, CORNER[1]),
        quality=100,
        reversible=True,
    ) as dataset:
        dataset.write(pixels)
