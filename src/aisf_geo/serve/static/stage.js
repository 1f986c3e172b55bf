// The map: imagery, classes, confidence and change as tiles, features and zones as outlines, and the swipe over them.
import * as maplibre from "./vendor/maplibre-gl.mjs";
import { address, ask, h, headers, root } from "./dom.js";
import { number, t } from "./texts.js";
import { archiveOf } from "./archives.js";
import { filterText, filtered, state, tableOf } from "./state.js";

// Features outlined at once; beyond it the largest are.
const MOST = 2000;
const RASTERS = ["imagery", "labels", "confidence", "change"];
// Largest first, and only what drawing needs; a table of lines has lengths instead of areas.
const sizes = ({ columns }) => {
  const size = ["area_m2", "length_m"].find((name) => columns.includes(name));
  const wanted = ["id", "class_name", size].filter((name) => columns.includes(name));
  return { sortby: size ? `-${size}` : "", properties: wanted.join(",") };
};
const EMPTY = { type: "FeatureCollection", features: [] };

const style = () => ({
  version: 8,
  sources: { land: { type: "geojson", data: `${root}/static/vendor/land-110m.geojson` }, features: { type: "geojson", data: EMPTY, promoteId: "id" }, zones: { type: "geojson", data: EMPTY }, chosen: { type: "geojson", data: EMPTY } },
  layers: [
    { id: "sea", type: "background", paint: { "background-color": "#dfe6e8" } },
    { id: "land", type: "fill", source: "land", maxzoom: 7, paint: { "fill-color": "#f3f1ea" } },
    { id: "features-fill", type: "fill", source: "features", paint: { "fill-color": "#ffe94a", "fill-opacity": 0.01 } },
    { id: "features-line", type: "line", source: "features", paint: { "line-color": "#1c2321", "line-width": 1, "line-opacity": 0.75 } },
    { id: "zones-fill", type: "fill", source: "zones", paint: { "fill-color": "#ffffff", "fill-opacity": 0.01 } },
    { id: "zones-case", type: "line", source: "zones", paint: { "line-color": "#1c2321", "line-width": 4.5 } },
    { id: "zones-line", type: "line", source: "zones", paint: { "line-color": "#ffffff", "line-width": 2.5 } },
    { id: "zone-chosen", type: "line", source: "zones", filter: ["==", ["get", "id"], ""], paint: { "line-color": "#ffb000", "line-width": 4 } },
    { id: "chosen-line", type: "line", source: "chosen", paint: { "line-color": "#ffb000", "line-width": 4 } },
  ],
});

export class Stage {
  constructor(node, on) {
    this.on = on;
    this.map = this.#make(node, { center: [10, 30], zoom: 1 });
    this.map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
    this.map.addControl(new maplibre.ScaleControl({ unit: "metric" }), "bottom-right");
    this.map.on("click", (e) => this.pick(e.point));
    this.map.on("moveend", () => { this.#remember(); this.loadFeatures(); });
    this.map.on("move", () => this.past?.jumpTo(this.#view()));
    this.map.getCanvas().addEventListener("keydown", (e) => { if (e.key === "Enter") this.pick(this.map.project(this.map.getCenter())); });
    this.ready = new Promise((resolve) => this.map.once("load", resolve));
  }

  #make(node, view) {
    return new maplibre.Map({
      container: node, style: style(), ...view, attributionControl: false, maxZoom: 22, pitchWithRotate: false, dragRotate: false,
      touchPitch: false, fadeDuration: 0, canvasContextAttributes: { preserveDrawingBuffer: true },
      transformRequest: (url) => ({ url, headers: url.startsWith(location.origin) ? headers() : {} }),
    });
  }

  #view() {
    return { center: this.map.getCenter(), zoom: this.map.getZoom() };
  }

  #remember() {
    const { lng, lat } = this.map.getCenter();
    state.at = [lng.toFixed(5), lat.toFixed(5), this.map.getZoom().toFixed(2)].join(",");
    this.on.moved();
  }

  async show(run) {
    await this.ready;
    this.run = run;
    const at = state.at?.split(",").map(Number);
    if (at?.length === 3 && at.every(Number.isFinite)) this.map.jumpTo({ center: at.slice(0, 2), zoom: at[2] });
    else if (run.bounds) this.map.fitBounds(run.bounds, { padding: 40, animate: false, maxZoom: 19 });
    const zones = run.zones ? await ask(`/collections/${encodeURIComponent(`${run.id}.zones`)}/items?limit=10000`) : EMPTY;
    this.zones = zones;
    this.map.getSource("zones").setData(zones);
    this.update();
  }

  // Bring the layers in line with the state.
  update() {
    const run = this.run;
    this.#rasters(this.map, run.items.find((i) => i.id === state.item));
    this.#swipe(run.items.find((i) => i.id === state.before));
    for (const [layer, kind] of [["features-line", "outlines"], ["zones-line", "zones"], ["zones-case", "zones"], ["zone-chosen", "zones"]])
      this.map.setLayoutProperty(layer, "visibility", state.shown[kind] ? "visible" : "none");
    this.map.setFilter("zone-chosen", ["==", ["get", "id"], state.zone ?? ""]);
    this.map.setPaintProperty("features-fill", "fill-opacity", filtered() ? 0.45 : 0.01);
    this.loadFeatures();
  }

  opacity() {
    for (const map of [this.map, this.past])
      for (const kind of map ? RASTERS : [])
        for (const layer of map.getStyle().layers.filter((l) => l.id.startsWith(`${kind}:`))) map.setPaintProperty(layer.id, "raster-opacity", state.opacity[kind]);
  }

  #rasters(map, item) {
    const wanted = RASTERS.filter((k) => state.shown[k]).flatMap((kind) => this.#layersOf(kind, item)).reverse();
    const names = new Set(wanted.map((l) => `${l.kind}:${l.id}`));
    for (const layer of map.getStyle().layers.filter((l) => l.type === "raster" && !names.has(l.id))) {
      map.removeLayer(layer.id);
      map.removeSource(layer.id);
    }
    let above = "features-fill";
    for (const layer of wanted) {
      const name = `${layer.kind}:${layer.id}`;
      if (!map.getSource(name)) {
        map.addSource(name, { type: "raster", tileSize: 256, maxzoom: 22, bounds: layer.bounds,
          tiles: [`${location.origin}${root}/tiles/${encodeURIComponent(layer.id)}/{z}/{x}/{y}.png?v=${layer.stamp}`] });
        map.addLayer({ id: name, type: "raster", source: name, paint: { "raster-resampling": "nearest", "raster-fade-duration": 0 } });
      }
      map.setPaintProperty(name, "raster-opacity", state.opacity[layer.kind]);
      map.moveLayer(name, above);
      above = name;
    }
  }

  #layersOf(kind, item) {
    if (kind === "change") return this.run.changes;
    const found = (item?.layers || []).filter((l) => l.kind === kind);
    return kind === "imagery" ? found : found.filter((l) => l.head === state.head || (found.length === 1));
  }

  // The earlier date in a second map that is cut at the divider.
  #swipe(item) {
    const [node, range, divider] = ["before", "swipe", "divider"].map((id) => document.getElementById(id));
    for (const part of [node, range, divider]) part.hidden = !item;
    if (!item) {
      this.past?.remove();
      this.past = null;
      return;
    }
    if (!this.past) {
      this.past = this.#make(node, { ...this.#view(), interactive: false });
      this.past.getCanvas().tabIndex = -1;
      range.oninput = () => { state.swipe = Number(range.value); this.#cut(); };
    }
    range.value = state.swipe;
    this.#cut();
    const past = this.past;
    const draw = () => { if (this.past === past) { this.#rasters(past, item); past.getSource("zones").setData(this.zones); } };
    if (past.isStyleLoaded()) draw();
    else past.once("load", draw);
  }

  #cut() {
    document.getElementById("before").style.clipPath = `inset(0 ${100 - state.swipe}% 0 0)`;
    document.getElementById("divider").style.left = `${state.swipe}%`;
  }

  // The features in view that the filter lets through; a newer view overtakes an older answer.
  loadFeatures() {
    this.loading = this.#features();
    return this.loading;
  }

  async #features() {
    const table = tableOf(this.run);
    const item = this.run?.items.find((i) => i.id === state.item);
    if (!table || !item || !(state.shown.outlines || filtered())) {
      this.map.getSource("features")?.setData(EMPTY);
      if (this.run) this.#tiled(null);
      return;
    }
    const asked = (this.asked = {});
    const b = this.map.getBounds();
    const box = [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()].map((v, i) => Math.max(-[180, 90][i % 2], Math.min([180, 90][i % 2], v)).toFixed(6));
    const query = { bbox: box.join(","), limit: MOST, filter: filterText(table), ...sizes(table) };
    try {
      const tiles = filtered() ? null : await this.#tiles(table.tiles[item.id]);
      const zoom = this.map.getZoom();
      const found = tiles && zoom <= tiles.maxZoom ? null : await ask(address(`/collections/${encodeURIComponent(table.id)}/items`, query));
      if (this.asked !== asked) return;
      const more = !found || found.links.some((l) => l.rel === "next");
      this.map.getSource("features").setData(tiles && more ? EMPTY : found);
      this.#tiled(more ? tiles : null);
      if (tiles && more) this.on.found(t(tiles.leavesOut(zoom)));
      else if (more) this.on.found(t(filtered() ? "foundMany" : "foundUntiled", number(MOST)));
      else this.on.found(t("found", number(found.features.length)));
    } catch (error) {
      this.on.failed(error);
    }
  }

  // The archive of a table at a date; where it cannot be read that is said, and the features in view are asked for.
  async #tiles(path) {
    try { return path ? await archiveOf(path) : null; }
    catch (error) { this.on.failed(error); return null; }
  }

  // Draw the outlines of an archive, or none. From afar they are finer, or they would hide the map beneath.
  #tiled(tiles) {
    const now = this.map.getSource("tiles")?.url;
    if (now === tiles?.url) return;
    if (now) {
      this.map.removeLayer("tiles-line");
      this.map.removeSource("tiles");
    }
    if (!tiles) return;
    const grows = (from, to) => ["interpolate", ["linear"], ["zoom"], tiles.maxZoom - 4, from, tiles.maxZoom - 1, to];
    this.map.addSource("tiles", { type: "vector", url: tiles.url, promoteId: "id" });
    this.map.addLayer({ id: "tiles-line", type: "line", source: "tiles", "source-layer": "features",
      paint: { "line-color": "#1c2321", "line-width": grows(0.5, 1), "line-opacity": grows(0.4, 0.75) } }, "zones-fill");
  }

  async pick(point) {
    const [feature] = state.shown.outlines || filtered() ? await this.#featuresAt(point) : [];
    const [zone] = state.shown.zones ? this.map.queryRenderedFeatures(point, { layers: ["zones-fill"] }) : [];
    await this.on.picked(feature?.id ?? feature?.properties.id ?? null, zone?.properties.id ?? null);
  }

  // Tiles have lines and no areas: there the table says what lies at a point, by its exact outlines.
  async #featuresAt(point) {
    if (!this.map.getSource("tiles")) return this.map.queryRenderedFeatures(point, { layers: ["features-fill"] });
    const { lng, lat } = this.map.unproject(point);
    const table = tableOf(this.run);
    const query = { bbox: [lng, lat, lng, lat].join(","), limit: 1, filter: filterText(table), properties: "id" };
    return (await ask(address(`/collections/${encodeURIComponent(table.id)}/items`, query))).features;
  }

  mark(feature) {
    this.ready.then(() => this.map.getSource("chosen").setData(feature ?? EMPTY));
  }

  toZone(id) {
    const zone = this.zones?.features.find((f) => f.id === id);
    if (!zone?.geometry) return;
    const bounds = new maplibre.LngLatBounds();
    for (const [x, y] of zone.geometry.coordinates.flat(zone.geometry.type === "Polygon" ? 1 : 2)) bounds.extend([x, y]);
    this.map.fitBounds(bounds, { padding: 50, maxZoom: 18, animate: !matchMedia("(prefers-reduced-motion: reduce)").matches });
  }

  // What is on the screen with a line beneath that says where it comes from.
  async picture(line) {
    const from = this.map.getCanvas();
    const canvas = h("canvas", { width: from.width, height: from.height + 56 });
    const pen = canvas.getContext("2d");
    pen.drawImage(from, 0, 0);
    if (this.past) {
      const cut = Math.round((from.width * state.swipe) / 100);
      if (cut) pen.drawImage(this.past.getCanvas(), 0, 0, cut, from.height, 0, 0, cut, from.height);
    }
    pen.fillStyle = "#fff";
    pen.fillRect(0, from.height, canvas.width, 56);
    pen.fillStyle = "#1c2321";
    pen.font = "14px system-ui, sans-serif";
    line.forEach((text, i) => pen.fillText(text, 8, from.height + 22 + 22 * i, canvas.width - 16));
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}
