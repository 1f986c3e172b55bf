"""Raster tiles by titiler from the maps of the runs, asked for by id and never by address."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import morecantile
import rasterio
from fastapi import APIRouter, Depends, Path, Request
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader
from starlette.responses import Response
from titiler.core.dependencies import DefaultDependency
from titiler.core.factory import TilerFactory
from titiler.core.resources.enums import ImageType
from titiler.core.utils import render_image

from aisf_geo.serve.catalog import RasterLayer
from aisf_geo.serve.web import etag_of, library_of, origin_of, token_of, unchanged

#: Deepest zoom a client may ask for: 4 mm on the ground.
MAX_ZOOM = 24
TILE_PX = 256
#: Ends of the ramp from unsure to sure, told apart by lightness alone (cividis, Nunez 2018).
UNSURE, SURE = (0, 34, 78), (253, 231, 55)
_TMS = morecantile.tms.get("WebMercatorQuad")
_GDAL = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_CACHEMAX": 128}
_EMPTY_HEADERS = {"cache-control": "no-cache"}


def layer_of(request: Request, dataset: Annotated[str, Path(description="Id of a map, from /map.json")]) -> RasterLayer:
    """The map that a request names."""
    return library_of(request).raster(token_of(request), dataset)


def path_of(layer: Annotated[RasterLayer, Depends(layer_of)]) -> str:
    """The file of the map that a request names: the only way to a file."""
    return str(layer.path)


class DatasetTiler(TilerFactory):
    """titiler's endpoints that a map page needs, without free expressions, sizes and colour maps."""

    def register_routes(self) -> None:
        """Tiles and the value at a point."""
        self.tile()
        self.point()  # type: ignore[no-untyped-call]  # titiler leaves it without types

    def tile(self) -> None:
        """Register the tile: colours are those the map carries, or a ramp for confidence."""

        @self.router.get("/{z}/{x}/{y}.png", response_class=Response, operation_id=f"{self.operation_prefix}tile")
        def tile(
            request: Request,
            layer: Annotated[RasterLayer, Depends(layer_of)],
            z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
            x: Annotated[int, Path(ge=0, lt=2**MAX_ZOOM)],
            y: Annotated[int, Path(ge=0, lt=2**MAX_ZOOM)],
        ) -> Response:
            """A PNG of 256 x 256 pixels; empty outside the map."""
            etag = etag_of(request, layer.stamp)
            headers = {"etag": etag, "cache-control": "no-cache", "vary": "authorization"}
            if unchanged(request, etag):
                return Response(status_code=304, headers=headers)
            return Response(_tile(layer, z, x, y), media_type="image/png", headers=headers)


def _tile(layer: RasterLayer, z: int, x: int, y: int) -> bytes:
    # Classes are never mixed; pictures are smoothed when seen from afar and kept as pixels when seen closely.
    method = "bilinear" if layer.kind == "imagery" else "nearest"
    with rasterio.Env(**_GDAL), Reader(str(layer.path), tms=_TMS) as source:
        try:
            image = source.tile(x, y, z, tilesize=TILE_PX, resampling_method=method, reproject_method=method)
        except TileOutsideBounds:
            return _empty_tile()
        colours = _ramp() if layer.kind == "confidence" else source.colormap
    content: bytes = render_image(image, output_format=ImageType.png, colormap=colours)[0]
    return content


@lru_cache(maxsize=1)
def _ramp() -> dict[int, tuple[int, int, int, int]]:
    """Confidence codes 0..254 to colours."""

    def between(share: float) -> tuple[int, int, int, int]:
        r, g, b = (round(a + (b - a) * share) for a, b in zip(UNSURE, SURE, strict=True))
        return r, g, b, 255

    return {code: between(code / 254) for code in range(255)}


@lru_cache(maxsize=1)
def _empty_tile() -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.new("LA", (TILE_PX, TILE_PX)).save(stream, "PNG", optimize=True)
    return stream.getvalue()


class NoParameters(DefaultDependency):
    """Takes nothing from the query."""


def _no_process() -> None:
    return None


def tile_router() -> APIRouter:
    """``/tiles/{dataset}``: tiles, a point, and TileJSON."""
    factory = DatasetTiler(
        path_dependency=path_of,
        router_prefix="/tiles/{dataset}",
        layer_dependency=NoParameters,
        dataset_dependency=NoParameters,
        process_dependency=_no_process,
    )
    router = APIRouter(prefix="/tiles/{dataset}", tags=["Tiles"])

    @router.get("/tilejson.json")
    def tilejson(request: Request, layer: Annotated[RasterLayer, Depends(layer_of)]) -> dict[str, Any]:
        """TileJSON 3.0 of a map."""
        return {
            "tilejson": "3.0.0",
            "name": layer.id,
            "tiles": [f"{origin_of(request)}/tiles/{layer.id}/{{z}}/{{x}}/{{y}}.png"],
            "bounds": list(layer.bounds),
            "minzoom": 0,
            "maxzoom": MAX_ZOOM,
        }

    router.include_router(factory.router)
    return router
