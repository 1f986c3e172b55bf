"""Input that was made to do harm: it ends in one sentence, reaches nothing and costs nothing."""

from __future__ import annotations

import json
import re
import shutil
import socket
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from aisf_geo.errors import AisfGeoError, LicenceError, RecipeError, RefusedError, UnreadableError
from aisf_geo.ingest.access import Access, safe_id
from aisf_geo.ingest.area_of_interest import read_polygons
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.read import opened, read_header
from aisf_geo.recipe import read_recipe
from variants import recipe_variant

WriteTif = Callable[..., Path]
ROOT = Path(__file__).parents[2]


class TestWhereHrefsMayLead:
    OPEN = Access(hosts=("data.example.org", "*.tiles.example.org", "bucket"), private_hosts=("minio",))

    @pytest.mark.parametrize(
        "href",
        [
            "https://data.example.org/a.tif",
            "https://a.b.tiles.example.org/a.tif",
            "s3://bucket/a.tif",
            "/some/file.tif",
            "file.tif",
        ],
    )
    def test_allowed(self, href: str) -> None:
        assert self.OPEN.checked(href) == href

    @pytest.mark.parametrize(
        "href",
        [
            "https://other.example.org/a.tif",
            "https://data.example.org.evil.net/a.tif",
            "https://tiles.example.org.evil/a.tif",
            "https://user:pw@data.example.org/a.tif",
            "https://data.example.org@evil.net/a.tif",
            "http://data.example.org/a.tif",
            "http://169.254.169.254/latest/meta-data",
            "https://[::1]/a.tif",
            "https:///a.tif",
            "ftp://data.example.org/a.tif",
            "gs://bucket/a.tif",
            "s3://other/a.tif",
            "zip://a.zip!../../etc/passwd",
            "tar://a.tar!x.tif",
            "gopher://data.example.org/",
            "/vsicurl/https://data.example.org/a.tif",
            "/vsizip//tmp/a.zip/x.tif",
            "/vsistdin/",
            "<VRTDataset/>",
            ' {"type": "x"}',
            "a\0.tif",
        ],
    )
    def test_refused(self, href: str) -> None:
        with pytest.raises(RefusedError):
            self.OPEN.checked(href)

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1", "fe80::1%eth0",
         "fd00:ec2::254", "::ffff:127.0.0.1", "224.0.0.1"],
    )  # fmt: skip
    def test_a_public_name_that_leads_into_a_private_network_is_refused(self, address: str) -> None:
        with pytest.raises(RefusedError, match="not a public address"):
            self.OPEN.check_peer("data.example.org", address)
        self.OPEN.check_peer("minio", address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
    def test_a_public_address_is_fine(self, address: str) -> None:
        self.OPEN.check_peer("data.example.org", address)

    @pytest.mark.parametrize("text", ["../up", "a/b", "a\\b", "", ".hidden", "..", "a\nb", "x" * 201, " a", None, 3])
    def test_an_id_that_would_lead_elsewhere_names_no_folder(self, text: Any) -> None:
        with pytest.raises(RefusedError, match="cannot be a folder's name"):
            safe_id(text, "item")


VRT = """<VRTDataset rasterXSize="3" rasterYSize="3"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.fixture
def listener() -> Any:
    """A port on the loopback; ``called()`` says whether anyone came."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen()
        port.setblocking(False)

        def called() -> bool:
            try:
                port.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield f"http://127.0.0.1:{port.getsockname()[1]}/x.tif", called


class TestRastersThatReachElsewhere:
    @pytest.mark.parametrize("name", ["a.tif", "a.vrt", "a.png", "a.xml"])
    @pytest.mark.parametrize(
        "root", [VRT, "<GDAL_WMS><Service name='TMS'><ServerUrl>{}</ServerUrl></Service></GDAL_WMS>"]
    )
    def test_xml_formats_under_any_name_ask_nobody(self, tmp_path: Path, listener: Any, name: str, root: str) -> None:
        url, called = listener
        path = tmp_path / name
        path.write_text(root.format(f"/vsicurl/{url}"))
        with pytest.raises(UnreadableError, match="begin like none of"), opened(str(path)):
            pass
        assert not called()

    @pytest.mark.parametrize("beside", [".ovr", ".msk"])
    def test_a_vrt_as_overview_or_mask_is_refused(self, write_tif: WriteTif, listener: Any, beside: str) -> None:
        url, called = listener
        path = write_tif("a.tif", np.ones((64, 64), np.uint8))
        path.with_name("a.tif" + beside).write_text(VRT.format(f"/vsicurl/{url}"))
        with pytest.raises((RefusedError, UnreadableError), match=beside[1:]), opened(str(path)):
            pass
        assert not called()

    @pytest.mark.parametrize("where", ["inside", "beside"])
    def test_overviews_named_in_the_metadata_are_refused(self, write_tif: WriteTif, listener: Any, where: str) -> None:
        url, called = listener
        path = write_tif("a.tif", np.ones((64, 64), np.uint8))
        if where == "inside":
            with rasterio.open(path, "r+") as dataset:
                dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{url}")
        else:
            path.with_name("a.tif.aux.xml").write_text(
                '<PAMDataset><Metadata domain="OVERVIEWS">'
                f'<MDI key="OVERVIEW_FILE">/vsicurl/{url}</MDI></Metadata></PAMDataset>'
            )
        with pytest.raises(RefusedError, match="name other files"), opened(str(path)):
            pass
        assert not called()


class TestBombs:
    def test_a_raster_of_a_trillion_pixels_is_refused_before_one_is_read(self, write_tif: WriteTif) -> None:
        side = 1_000_000
        path = write_tif("a.tif", np.ones((16, 16), np.uint8), tiled=True, blockxsize=16, blockysize=16)
        _set_tiff_numbers(path, {256: side, 257: side})
        with pytest.raises(AisfGeoError) as caught:
            read_header(str(path))
        assert isinstance(caught.value, RefusedError | UnreadableError)

    def test_a_sparse_file_that_claims_too_much_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=600_000, height=600_000, count=1, dtype="uint8", tiled=True,
            blockxsize=16384, blockysize=16384, compress="deflate", SPARSE_OK=True, crs="EPSG:32631", BIGTIFF="YES",
            transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5.7e6),
        ):  # fmt: skip
            pass
        with pytest.raises(RefusedError, match="claims 360,000,000,000 pixels"):
            read_header(str(path))

    def test_a_tile_that_unpacks_to_gigabytes_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        side = 32_768
        with rasterio.open(
            path, "w", driver="GTiff", width=side, height=side, count=2, dtype="uint16", tiled=True, blockxsize=side,
            blockysize=side, compress="deflate", SPARSE_OK=True, crs="EPSG:32631", interleave="pixel",
            transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5.7e6),
        ):  # fmt: skip
            pass
        assert path.stat().st_size < 10_000
        with pytest.raises(RefusedError, match="unpacks to"):
            read_header(str(path))

    def test_a_large_recipe_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "r.yaml"
        path.write_text("#" * (2**20 + 1))
        with pytest.raises(RecipeError, match="larger than"):
            read_recipe(path)

    @pytest.mark.parametrize(
        "text",
        [
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "\n".join(f"{n}: &{n} [{','.join(['*' + p] * 9)}]" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
            "name: " + "[" * 5_000,
            "name: &x [*x]",
            "name: 2021-99-99\ntitle: 2021-13-45",
            "? [a]\n: b",
            "name: one\nname: two",
            "!!python/object/apply:os.system ['true']",
            "name: 0x" + "f" * 10_000,
            "\x00",
            "name: !!float '" + "9" * 5_000 + "'",
        ],
        ids=["laughs", "deep", "circle", "date", "list as key", "twice", "python", "hex", "nul", "float"],
    )
    def test_yaml_that_explodes_is_one_short_sentence(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "r.yaml"
        path.write_text(text)
        tracemalloc.start()
        with pytest.raises(RecipeError) as caught:
            read_recipe(path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
        tracemalloc.stop()
        assert len(str(caught.value)) < 3_000


def _set_tiff_numbers(path: Path, wanted: dict[int, int]) -> None:
    """Overwrite values of 32- or 16-bit tags of a little-endian TIFF in place, as 32-bit numbers."""
    content = bytearray(path.read_bytes())
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    for i in range(count):
        entry = at + 2 + 12 * i
        (tag,) = struct.unpack_from("<H", content, entry)
        if tag in wanted:
            struct.pack_into("<HII", content, entry + 2, 4, 1, wanted[tag])
    path.write_bytes(content)


class TestCatalogues:
    @pytest.fixture
    def folder(self, sample_tiles: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(sample_tiles / "rotterdam", tmp_path / "rotterdam"))

    def change(self, folder: Path, how: Callable[[dict[str, Any]], object]) -> Path:
        path = folder / "ms2.json"
        item = json.loads(path.read_text())
        how(item)
        path.write_text(json.dumps(item))
        return path

    @pytest.mark.parametrize(
        "href",
        ["/etc/hostname", "../elsewhere.tif", "file:///etc/hostname", "/vsicurl/http://127.0.0.1/x.tif",
         "http://127.0.0.1:9/x.tif", "https://evil.example/x.tif", "s3://bucket/x.tif"],
    )  # fmt: skip
    def test_an_asset_elsewhere_is_refused(self, folder: Path, href: str) -> None:
        asset = next(
            k for k, a in json.loads((folder / "ms2.json").read_text())["assets"].items() if "data" in a["roles"]
        )
        path = self.change(folder, lambda item: item["assets"][asset].update(href=href))
        with pytest.raises(RefusedError):
            open_catalog(path).scenes()

    def test_an_id_that_climbs_out_of_the_output_folder_is_refused(self, folder: Path) -> None:
        path = self.change(folder, lambda item: item.update(id="../../../tmp/x"))
        with pytest.raises(RefusedError, match="folder's name"):
            open_catalog(path).scenes()

    def test_links_in_a_circle_end(self, folder: Path) -> None:
        path = folder / "collection.json"
        content = json.loads(path.read_text())
        content["links"].append({"rel": "child", "href": "./collection.json", "type": "application/json"})
        path.write_text(json.dumps(content))
        with pytest.raises((UnreadableError, RefusedError)):
            open_catalog(folder).scenes()

    def test_a_link_into_the_network_is_refused(self, folder: Path, listener: Any) -> None:
        url, called = listener
        path = folder / "collection.json"
        content = json.loads(path.read_text())
        content["links"].append({"rel": "child", "href": url, "type": "application/json"})
        path.write_text(json.dumps(content))
        with pytest.raises((UnreadableError, RefusedError)):
            open_catalog(folder).scenes()
        assert not called()


def test_a_vector_file_that_leads_elsewhere_is_refused(tmp_path: Path, listener: Any) -> None:
    url, called = listener
    path = tmp_path / "zones.geojson"
    layer = f'<OGRVRTLayer name="x"><SrcDataSource>/vsicurl/{url}</SrcDataSource></OGRVRTLayer>'
    path.write_text(f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>")
    with pytest.raises(RefusedError, match="XML formats"):
        read_polygons(path)
    assert not called()


class TestPurpose:
    @pytest.mark.parametrize(
        ("licence", "purpose", "clause"),
        [
            ("CC-BY-NC-4.0", "commercial", "NonCommercial purposes only"),
            ("CC BY-NC-SA 4.0", "commercial", "NonCommercial purposes only"),
            ("CC-BY-ND-4.0", "publication", "but not Share, Adapted Material"),
            ("CC-BY-NC-ND-4.0", "commercial", "but not Share, Adapted Material for NonCommercial"),
        ],
    )
    def test_what_the_licence_forbids_is_refused_with_the_clause(
        self, tmp_path: Path, licence: str, purpose: str, clause: str
    ) -> None:
        def change(recipe: dict[str, Any]) -> None:
            recipe["sources"][0] |= {"licence": licence, "allowed_use": ["research", "publication", "commercial"]}
            recipe["purpose"] = purpose

        with pytest.raises(LicenceError, match=clause):
            read_recipe(recipe_variant(tmp_path, change))

    def test_what_the_recipe_itself_does_not_allow_is_refused(self, tmp_path: Path) -> None:
        def change(recipe: dict[str, Any]) -> None:
            recipe["sources"][0] |= {"licence": "Agreement 7 with the county", "allowed_use": ["research"]}

        with pytest.raises(LicenceError, match="allowed_use names research, not the purpose 'publication'"):
            read_recipe(recipe_variant(tmp_path, change))

    def test_an_unknown_licence_needs_its_allowed_use_stated(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="state allowed_use"):
            read_recipe(recipe_variant(tmp_path, lambda r: r["sources"][0].update(licence="Agreement 7")))

    @pytest.mark.parametrize("purpose", ["research", "publication", "commercial"])
    def test_open_licences_allow_all(self, tmp_path: Path, purpose: str) -> None:
        assert read_recipe(recipe_variant(tmp_path, lambda r: r.update(purpose=purpose))).purpose == purpose


def test_nothing_in_the_program_starts_a_shell_or_unpickles() -> None:
    forbidden = re.compile(
        r"shell=True|os\.(system|popen)\(|pickle\.loads?\(|allow_pickle=True|yaml\.load\((?!.*_PlainLoader)|(?<![.\w])(eval|exec)\("
    )
    files = [path for folder in ("src", "flows") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    assert [(f.name, m[0]) for f in files for m in forbidden.finditer(f.read_text(encoding="utf-8"))] == []
