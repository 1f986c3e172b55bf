"""OGC API - Features over both stores: the same questions, the same answers, in the same order."""

from __future__ import annotations

import io
from pathlib import Path

import geopandas
import pandas
import pytest
import shapely
from starlette.testclient import TestClient

from served_run import DATES, squares

ITEMS = "/collections/town.features/items"
ALL = [f"{scene}-{n}" for scene in DATES for n in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)]


def ids(answer: dict) -> list[str]:
    return [f["id"] for f in answer["features"]]


@pytest.fixture(scope="module")
def truth() -> geopandas.GeoDataFrame:
    return pandas.concat([squares(scene).to_crs(4326) for scene in DATES], ignore_index=True)


def test_the_landing_page_links_what_a_client_needs(ask) -> None:
    assert {"self", "service-desc", "conformance", "data"} <= {link["rel"] for link in ask("/", f="json")["links"]}
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in ask("/conformance")["conformsTo"]


def test_collections_are_features_indicators_and_zones(ask) -> None:
    found = {c["id"]: c for c in ask("/collections")["collections"]}
    assert set(found) == {"town.features", "town.indicators", "town.zones"}
    box = found["town.features"]["extent"]["spatial"]["bbox"][0]
    assert box == pytest.approx(squares("2020-06-30").to_crs(4326).total_bounds, abs=2e-3)
    assert found["town.features"]["extent"]["temporal"]["interval"] == [list(DATES.values())]
    assert "AI" in found["town.features"]["description"]


def test_items_are_all_features_in_the_order_of_the_files(ask) -> None:
    answer = ask(ITEMS, limit=100)
    assert ids(answer) == ALL
    assert answer["numberMatched"] == answer["numberReturned"] == 20
    assert "AI" in answer["aisf:made_by"]


def test_geometry_and_properties_are_those_of_the_file(ask, truth: geopandas.GeoDataFrame) -> None:
    for feature, row in zip(ask(ITEMS, limit=100)["features"], truth.itertuples(), strict=True):
        assert shapely.from_geojson(str(feature["geometry"]).replace("'", '"')).equals_exact(row.geometry, 1e-7)
        said = feature["properties"]
        assert (said["class"], said["class_name"], said["edge"]) == (row[2], row.class_name, row.edge)
        assert (
            said["confidence"] == pytest.approx(row.confidence)
            if row.confidence == row.confidence
            else said["confidence"] is None
        )


@pytest.mark.parametrize("limit", [1, 3, 7, 20, 50])
@pytest.mark.parametrize("sortby", ["", "area_m2", "-area_m2", "-confidence"])
def test_pages_together_are_the_whole_without_repetition(client: TestClient, limit: int, sortby: str) -> None:
    whole = ids(client.get(ITEMS, params={"limit": 100, "sortby": sortby}).json())
    seen, address = [], f"{ITEMS}?limit={limit}&sortby={sortby}"
    while address:
        page = client.get(address).json()
        seen += ids(page)
        address = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert seen == whole
    assert sorted(seen) == sorted(ALL)


def test_ties_are_broken_by_id_and_nulls_come_last(ask, truth: geopandas.GeoDataFrame) -> None:
    rows = [(r.id, r.area_m2, r.confidence) for r in truth.itertuples()]
    assert ids(ask(ITEMS, limit=100, sortby="area_m2")) == [r[0] for r in sorted(rows, key=lambda r: (r[1], r[0]))]
    assert ids(ask(ITEMS, limit=100, sortby="-area_m2")) == [r[0] for r in sorted(rows, key=lambda r: (-r[1], r[0]))]
    for sign, order in (("", 1), ("-", -1)):
        known = sorted((r for r in rows if r[2] == r[2]), key=lambda r: (order * r[2], r[0]))
        missing = sorted(r[0] for r in rows if r[2] != r[2])
        assert ids(ask(ITEMS, limit=100, sortby=f"{sign}confidence")) == [r[0] for r in known] + missing


@pytest.mark.parametrize("share", [(0, 0, 0.3, 1), (0.2, 0, 0.5, 0.6), (0, 0, 1, 1), (0.45, 0.4, 0.46, 0.41)])
def test_a_box_gives_the_features_that_it_touches(ask, truth: geopandas.GeoDataFrame, share: tuple[float, ...]) -> None:
    west, south, east, north = truth.total_bounds
    box = (west + share[0] * (east - west), south + share[1] * (north - south),
           west + share[2] * (east - west), south + share[3] * (north - south))  # fmt: skip
    expected = truth[truth.intersects(shapely.box(*box))]["id"].tolist()
    assert ids(ask(ITEMS, limit=100, bbox=",".join(map(str, box)))) == expected
    assert ids(ask(ITEMS, limit=100, bbox=f"{box[0]},{box[1]},-5,{box[2]},{box[3]},9")) == expected


def test_a_tilted_polygon_excludes_what_only_its_box_contains(ask, truth: geopandas.GeoDataFrame) -> None:
    west, south, east, north = truth.total_bounds
    wkt = shapely.Polygon([(west, south), (east, south), (west, north)]).wkt
    expected = truth[truth.intersects(shapely.from_wkt(wkt))]["id"].tolist()
    assert 0 < len(expected) < 20
    assert ids(ask(ITEMS, limit=100, filter=f"S_INTERSECTS(geometry, {wkt})")) == expected


@pytest.mark.parametrize(
    ("interval", "scenes"),
    [
        ("2020-06-30T00:00:00Z", 1),
        ("2020-06-30", 1),
        ("2020-06-30/2021-06-30", 2),
        ("2020-06-30T00:00:00Z/2021-06-30T00:00:00Z", 2),
        ("2020-07-01/2021-06-29", 0),
        ("../2020-06-30T00:00:00Z", 1),
        ("2021-06-30T00:00:00Z/..", 1),
        ("/2021-01-01T00:00:00+02:00", 1),
    ],
)
def test_both_ends_of_an_interval_belong_to_it(ask, interval: str, scenes: int) -> None:
    assert len(ids(ask(ITEMS, limit=100, datetime=interval))) == 10 * scenes


#: CQL2 text, and the same condition as pandas evaluates it.
FILTERS = {
    "class_name = 'water'": "class_name == 'water'",
    "area_m2 > 200 AND class = 1": "area_m2 > 200 and `class` == 1",
    "area_m2 <= 100 OR area_m2 >= 500": "area_m2 <= 100 or area_m2 >= 500",
    "NOT (class_name = 'water')": "class_name != 'water'",
    "100 < area_m2": "area_m2 > 100",
    "area_m2 BETWEEN 200 AND 300": "200 <= area_m2 <= 300",
    "area_m2 NOT BETWEEN 200 AND 300": "not (200 <= area_m2 <= 300)",
    "class_name IN ('land', 'ice')": "class_name == 'land'",
    "class_name LIKE 'wa%'": "class_name == 'water'",
    "class_name LIKE 'WA%'": "False",
    "id LIKE '2020-06-30-_'": "id.str.startswith('2020') and id.str.len() == 12",
    "confidence IS NULL": "confidence != confidence",
    "confidence IS NOT NULL": "confidence == confidence",
    "confidence < 0.7": "confidence < 0.7",
    "edge = true": "edge",
    "edge": "edge",
    "T_AFTER(datetime, TIMESTAMP('2020-12-31T00:00:00Z'))": "scene == '2021-06-30'",
    "datetime = DATE('2020-06-30')": "scene == '2020-06-30'",
    "T_INTERSECTS(datetime, INTERVAL('2020-01-01', '2020-06-30T00:00:00Z'))": "scene == '2020-06-30'",
    "T_DURING(datetime, INTERVAL('2020-01-01T00:00:00Z', '..'))": "True",
    "class_name <> scene": "True",
}


@pytest.mark.parametrize("text", FILTERS)
@pytest.mark.parametrize("language", ["cql2-text", "cql2-json"])
def test_a_filter_lets_through_what_pandas_does(ask, truth: geopandas.GeoDataFrame, text: str, language: str) -> None:
    import json

    import cql2

    expected = truth.query(f"({FILTERS[text]}) and index == index", engine="python")["id"].tolist()
    said = text if language == "cql2-text" else json.dumps(cql2.parse_text(text).to_json())
    assert ids(ask(ITEMS, limit=100, filter=said, **{"filter-lang": language})) == expected


def test_properties_can_be_asked_for_by_name(ask) -> None:
    assert len(ids(ask(ITEMS, limit=100, class_name="water", scene="2020-06-30"))) == 5
    assert len(ids(ask(ITEMS, limit=100, edge="true"))) == 2
    chosen = ask(ITEMS, properties="area_m2,id")["features"][0]["properties"]
    assert chosen == {"area_m2": 100.0, "id": "2020-06-30-10"}


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"filter": "area_m2 >"}, "not valid cql2-text"),
        ({"filter": "nothing = 1"}, "no property 'nothing'"),
        ({"filter": "area_m2 = 'x'"}, "is number"),
        ({"filter": "class_name = 1"}, "is string"),
        ({"filter": "class_name LIKE 'x\\'"}, "lone backslash"),
        ({"filter": "{", "filter-lang": "cql2-json"}, "not valid cql2-json"),
        ({"filter": '{"op":"foo","args":[]}', "filter-lang": "cql2-json"}, "not offered"),
        ({"filter": "S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 0 1, 1 0, 0 0)))"}, "cannot be used"),
        ({"filter": "(" * 450 + "area_m2 = 1" + ")" * 450}, "filter"),
        ({"filter": "NOT " * 4000 + "edge"}, "nested too deeply"),
        ({"filter": "area_m2 = " + "- " * 4000 + "1"}, "nested too deeply"),
        ({"filter": "area_m2 = 1", "filter-lang": "sql"}, "filter-lang"),
        ({"bbox": "1,2,3"}, "bbox"),
        ({"bbox": "1,2,3,x"}, "bbox"),
        ({"bbox": "nan,2,3,4"}, "bbox"),
        ({"bbox": "1,50,2,40"}, "south before north"),
        ({"datetime": "yesterday"}, "RFC 3339"),
        ({"datetime": "2021-01-01/2020-01-01"}, "before the start"),
        ({"datetime": "2020-06-30T00:00:00"}, "time zone"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"offset": "x"}, "offset"),
        ({"sortby": "colour"}, "no property"),
        ({"properties": "colour"}, "no property"),
        ({"colour": "red"}, "neither a parameter nor a property"),
        ({"area_m2": "big"}, "expected a number"),
        ({"f": "xml"}, "expected"),
        ({"bbox-crs": "EPSG:3857"}, "only"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(client: TestClient, parameters: dict, what: str) -> None:
    answer = client.get(ITEMS, params=parameters)
    assert answer.status_code == 400
    assert what in answer.json()["description"]


def test_one_feature_by_its_id(client: TestClient, ask) -> None:
    assert ask(f"{ITEMS}/2021-06-30-3")["properties"]["scene"] == "2021-06-30"
    assert client.get(f"{ITEMS}/none").status_code == 404
    assert client.get("/collections/none/items").status_code == 404


def test_queryables_name_every_property_with_its_type(ask) -> None:
    properties = ask("/collections/town.features/queryables")["properties"]
    assert properties["area_m2"]["type"] == "number"
    assert properties["datetime"]["format"] == "date-time"
    assert "$ref" in properties["geometry"]


def test_csv_and_parquet_hold_what_json_does(client: TestClient, truth: geopandas.GeoDataFrame) -> None:
    table = pandas.read_csv(io.BytesIO(client.get(ITEMS, params={"f": "csv", "limit": 100}).content))
    assert table["id"].tolist() == ALL
    assert table["made_by"].str.contains("AI").all()
    inside = geopandas.points_from_xy(table["longitude"], table["latitude"])
    assert shapely.intersects(truth.geometry.to_numpy(), inside.to_numpy()).all()
    frame = geopandas.read_parquet(io.BytesIO(client.get(ITEMS, params={"f": "parquet", "limit": 100}).content))
    assert frame["id"].tolist() == ALL
    assert frame.geometry.geom_equals_exact(truth.geometry, 1e-7).all()


def test_people_get_a_page(client: TestClient) -> None:
    answer = client.get(ITEMS, headers={"accept": "text/html,application/xhtml+xml"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "2020-06-30-10" in answer.text
    assert "AI" in answer.text


def test_indicator_values_lie_where_their_zone_does(ask) -> None:
    answer = ask("/collections/town.indicators/items", sortby="-value")
    assert [f["properties"]["value"] for f in answer["features"]] == [8.0, 5.0, 0.0, None]
    best = answer["features"][0]["properties"]
    assert (best["zone"], best["low"], best["high"], best["unit"], best["items"]) == (
        "west",
        7.0,
        9.0,
        "ha",
        "2021-06-30",
    )
    assert answer["features"][-1]["properties"]["withheld_reason"].startswith("only 20 %")
    assert all(f["geometry"]["type"] == "Polygon" for f in answer["features"])
    during = ask("/collections/town.indicators/items", datetime="2020-06-30T12:00:00Z")
    assert {f["properties"]["start"] for f in during["features"]} == {DATES["2020-06-30"]}


def test_what_is_held_already_is_not_sent_again(client: TestClient) -> None:
    first = client.get(ITEMS)
    again = client.get(ITEMS, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{ITEMS}?limit=3", headers={"if-none-match": first.headers["etag"]}).status_code == 200


def test_a_new_run_is_seen_and_a_replaced_table_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aisf_geo.serve import catalog
    from aisf_geo.serve.app import create_app
    from served_run import make_run

    monkeypatch.setattr(catalog, "LOOK_AGAIN_S", 0.0)
    make_run(tmp_path / "runs" / "one")
    with TestClient(create_app(tmp_path / "runs"), base_url="http://localhost") as client:
        assert len(client.get("/collections").json()["collections"]) == 3
        make_run(tmp_path / "runs" / "two")
        assert len(client.get("/collections").json()["collections"]) == 6


def test_a_value_is_explained_by_whom_the_server_was_given(run_path: Path) -> None:
    from aisf_geo.serve.app import create_app

    app = create_app(run_path, explain=lambda row, run: [row["zone_name"], run["state"]])
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/runs/town/indicators/1/explanation").json() == {"lines": ["West side", "complete"]}
        assert client.get("/runs/town/indicators/99/explanation").status_code == 404
        assert client.get("/runs/town/indicators/0/explanation").status_code == 404


def test_a_value_by_a_formula_of_another_version_is_said_to_be_unknown(run_path: Path) -> None:
    from aisf_geo.indicators.registry import definition
    from aisf_geo.serve.app import create_app

    app = create_app(run_path, explain=lambda _row, _run: [definition("6.6.1@1999").name])
    with TestClient(app, base_url="http://localhost") as client:
        answer = client.get("/runs/town/indicators/1/explanation")
        assert answer.status_code == 404
        assert "6.6.1@1999" in answer.text
