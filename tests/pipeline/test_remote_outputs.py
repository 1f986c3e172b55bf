"""Runs whose imagery or outputs lie on an object store: a real S3 server on the loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisf_geo.errors import OutputError, UsageError
from aisf_geo.pipeline.plan import RunPlan, plan_run
from aisf_geo.pipeline.remote import local_folder, run_folder_at
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.recipe import read_recipe
from variants import recipe_variant

URL = "s3://maps/rotterdam"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    import fsspec

    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    for key, value in {"AWS_ENDPOINT_URL": s3, **keys}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    fsspec.filesystem("s3").clear_instance_cache()
    store = fsspec.filesystem("s3")
    if store.exists("maps"):
        store.rm("maps", recursive=True)
    store.mkdir("maps")
    yield store
    store.clear_instance_cache()


@pytest.fixture(scope="module")
def plan(sample_tiles: Path) -> RunPlan:
    return plan_run(tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water", block_px=128))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_outputs_on_a_store_equal_those_on_disk_and_a_run_lost_half_way_goes_on_elsewhere(
    bucket: object, plan: RunPlan, tmp_path: Path
) -> None:
    run(plan, tmp_path / "here", "refuse")
    blocks = 0

    def pull_the_plug(_: object) -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), run_folder_at(URL, "refuse") as folder:
        run(plan, folder, "refuse", on_block=pull_the_plug)
    assert json.loads(bucket.cat_file("maps/rotterdam/run.json"))["state"] == "interrupted"  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="holds a run"), run_folder_at(URL, "refuse"):
        pass
    # Another machine: nothing but what lies at the URL.
    shutil.rmtree(local_folder(URL).parent)
    with run_folder_at(URL, "resume") as folder:
        run(plan, folder, "resume")
    for name in ("labels.tif", "confidence.tif", "features.parquet", "quicklook.png"):
        there = bucket.cat_file(f"maps/rotterdam/items/ms2/{name}")  # type: ignore[attr-defined]
        assert there == (tmp_path / "here" / "items" / "ms2" / name).read_bytes(), name
    assert json.loads(bucket.cat_file("maps/rotterdam/run.json"))["state"] == "complete"  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_imagery_on_a_store_gives_the_maps_of_the_file(bucket: object, sample_tiles: Path, tmp_path: Path) -> None:
    tile = sample_tiles / "rotterdam" / "ms2.tif"
    bucket.put_file(str(tile), "maps/imagery/ms2.tif")  # type: ignore[attr-defined]
    item = json.loads(tile.with_suffix(".json").read_text())
    item["links"] = []
    for asset in item["assets"].values():
        asset["href"] = "s3://maps/imagery/ms2.tif"
    (tmp_path / "ms2.json").write_text(json.dumps(item))
    there = {"path": str(tmp_path / "ms2.json"), "hosts": ["maps"]}
    plans = [
        plan_run(
            read_recipe(recipe_variant(tmp_path, lambda r, s=source: r["sources"][0].update(s), "rotterdam_water"))
        )
        for source in (there, {"path": str(tile.with_suffix(".json"))})
    ]
    for place, plan in zip(("store", "here"), plans, strict=True):
        run(plan, tmp_path / place, "refuse")
    labels = [(tmp_path / place / "items" / "ms2" / "labels.tif").read_bytes() for place in ("store", "here")]
    assert labels[0] == labels[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_only_what_changed_is_sent_again(bucket: object, plan: RunPlan) -> None:
    for rule in ("refuse", "resume"):
        with run_folder_at(URL, rule) as folder:  # type: ignore[arg-type]
            run(plan, folder, rule)  # type: ignore[arg-type]
    sent = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines() if '"sent"' in line]
    # The log ends before the last sending; the maps were sent once, by the first run.
    assert not (folder / "items" / "ms2" / ".blocks").exists()
    assert sent


def test_a_store_nobody_knows_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="name a folder"), run_folder_at("nostore://x/y", "refuse"):
        pass


def test_a_folder_is_itself(tmp_path: Path) -> None:
    with run_folder_at(str(tmp_path / "out"), "refuse") as folder:
        assert folder == tmp_path / "out"
