// The panels of layers, filter and selection.
import { download, h, save } from "./dom.js";
import { filterText, state, tableOf } from "./state.js";
import { area, day, number, percent, t } from "./texts.js";
import { byZone, figures, sentence } from "./values.js";

const KINDS = ["imagery", "labels", "confidence", "change"];

const dateName = (item) => `${day(item.datetime)}${item.id === day(item.datetime) ? "" : ` · ${item.id}`} (${t("seenShare", percent(item.coverage ?? 0))})`;

export function drawLayers(panel, run, on) {
  if (!run.items.length) {
    panel.replaceChildren(h("p", { class: "hint" }, t("noLayers")));
    return;
  }
  const heads = [...new Set(run.items.flatMap((i) => i.layers.filter((l) => l.kind === "labels").map((l) => l.head)))];
  const kinds = KINDS.filter((k) => (k === "change" ? run.changes.length : run.items.some((i) => i.layers.some((l) => l.kind === k))));
  panel.replaceChildren(...[
    choice("item", t("date"), run.items.map((i) => [i.id, dateName(i)]), state.item, (id) => on.item(id)),
    heads.length > 1 && choice("head", t("labels"), heads.map((x) => [x, x || "–"]), state.head, (x) => { state.head = x; on.changed(); }),
    h("fieldset", {}, h("legend", {}, t("layers")), ...kinds.map((kind) => layerRow(kind, on)),
      ...["outlines", "zones"].map((kind) => h("div", { class: "layer" }, toggle(kind, on)))),
    run.items.length > 1 && h("fieldset", {}, h("legend", {}, t("compare")),
      choice("before-date", t("before"), [["", "–"], ...run.items.filter((i) => i.id !== state.item).map((i) => [i.id, dateName(i)])], state.before || "",
        (id) => { state.before = id || null; on.changed(); })),
    h("p", { class: "actions" }, h("button", { type: "button", id: "png", onclick: on.picture }, t("png"))),
  ].filter(Boolean));
}

function choice(id, name, options, chosen, change) {
  return h("label", {}, name, h("select", { id, onchange: (e) => change(e.target.value) },
    ...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));
}

function toggle(kind, on) {
  return h("label", { class: "check" },
    h("input", { type: "checkbox", id: `show-${kind}`, checked: state.shown[kind], onchange: (e) => { state.shown[kind] = e.target.checked; on.changed(); } }), t(kind));
}

function layerRow(kind, on) {
  return h("div", { class: "layer" }, toggle(kind, on),
    h("input", { type: "range", min: 0, max: 1, step: 0.05, value: state.opacity[kind], id: `opacity-${kind}`, "aria-label": t("opacity", t(kind)),
      oninput: (e) => { state.opacity[kind] = Number(e.target.value); on.opacity(); } }));
}

export function drawFilter(panel, run, legend, said, on) {
  const table = tableOf(run);
  if (!table) {
    panel.replaceChildren(h("p", { class: "hint" }, t("noLayers")));
    return;
  }
  const { classes, minArea, minConfidence } = state.filter;
  const form = h("form", { id: "filter-form", onsubmit: (e) => { e.preventDefault(); apply(form, legend); on.filtered(); } },
    h("fieldset", {}, h("legend", {}, t("classes")), ...legend.map((c) => h("label", { class: "check" },
      h("input", { type: "checkbox", name: "class", value: c.name, checked: !classes || classes.includes(c.name) }),
      swatch(c.colour), c.name))),
    h("label", {}, t("minArea"), h("input", { type: "number", name: "area", min: 0, step: "any", value: minArea || "" })),
    h("label", {}, t("minConfidence"), h("input", { type: "number", name: "confidence", min: 0, max: 1, step: "0.01", value: minConfidence || "" })),
    h("p", { class: "actions" }, h("button", { class: "primary" }, t("apply")), " ",
      h("button", { type: "button", onclick: () => { state.filter = { classes: null, minArea: 0, minConfidence: 0 }; on.filtered(); } }, t("reset"))));
  const name = `${run.id}.${state.item}.${table.name}`;
  const get = (f, suffix) => on.working(download(table.id, { filter: filterText(table) }, f, `${name}.${suffix}`), `${name}.${suffix}`);
  const tables = run.tables.length > 1 && choice("table", t("table"), run.tables.map((x) => [x.name, `${x.name} (${number(x.rows)})`]), table.name,
    (x) => { state.table = x; state.feature = null; on.filtered(); });
  panel.replaceChildren(...[tables].filter(Boolean), form, h("p", { id: "found", role: "status" }, said || ""),
    h("h2", {}, t("downloads")),
    h("p", { class: "actions" }, h("button", { type: "button", id: "features-geojson", onclick: () => get("json", "geojson") }, t("geojson")), " ",
      h("button", { type: "button", id: "features-csv", onclick: () => get("csv", "csv") }, t("csv"))));
}

function apply(form, legend) {
  const given = new FormData(form);
  const classes = given.getAll("class");
  state.filter = {
    classes: classes.length === legend.length ? null : classes,
    minArea: Number.parseFloat(given.get("area")) || 0,
    minConfidence: Number.parseFloat(given.get("confidence")) || 0,
  };
}

// A small square of a class's colour; an attribute of SVG, since the page allows no inline style.
export const swatch = (colour) => h("svg", { class: "swatch", viewBox: "0 0 12 12", "aria-hidden": "true" }, h("rect", { width: 12, height: 12, fill: colour }));

export function drawAbout(panel, run, feature, rows, on) {
  const zone = state.zone && rows.filter((r) => r.zone === state.zone);
  if (!feature && !zone?.length) {
    panel.replaceChildren(h("p", { class: "hint" }, t("nothing")));
    return;
  }
  panel.replaceChildren(...(feature ? aboutFeature(run, feature) : []), ...(zone?.length ? aboutZone(zone, on) : []));
}

function aboutZone(zone, on) {
  return [h("h2", {}, `${t("zone")}: ${zone[0].zone_name}`),
    ...figures(zone).map((f) => byZone(zone, `${f.formula} ${f.name}`)[0].last).map((row) => h("p", { class: "sentence" }, sentence(row))),
    h("p", { class: "actions" }, h("button", { type: "button", onclick: () => on.tab("values") }, t("values")))];
}

function aboutFeature(run, feature) {
  const p = feature.properties;
  const item = run.items.find((i) => i.id === p.scene) || {};
  const shown = [
    [t("className"), p.class_name], [t("area"), p.area_m2 === undefined ? null : area(p.area_m2)], [t("meanConfidence"), p.confidence && number(p.confidence)],
    [t("lowConfidence"), p.confidence_p10 && number(p.confidence_p10)], [t("edge"), p.edge === undefined ? null : p.edge ? t("yes") : t("no")], [t("feature"), feature.id],
  ];
  const known = new Set(["class", "class_name", "area_m2", "confidence", "confidence_p10", "edge", "scene", "datetime", "id"]);
  const sources = [
    [t("scene"), p.scene], [t("taken"), day(p.datetime)], [t("imageryFrom"), item.attribution], [t("licence"), item.licence],
    [t("method"), item.method && [item.method.name, item.method.version, item.method.settled?.reason].filter(Boolean).join(" · ")],
  ];
  const pairs = (list) => h("dl", {}, ...list.filter(([, v]) => v !== null && v !== undefined).flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, String(v))]));
  return [
    p.class_name && p.area_m2 && h("p", { class: "sentence" }, t("sentence", day(p.datetime), area(p.area_m2), p.class_name, number(p.confidence))),
    h("h2", {}, t("attributes")), pairs([...shown, ...Object.entries(p).filter(([k]) => !known.has(k))]),
    h("h2", {}, t("sources")), pairs(sources),
    h("p", { class: "actions" }, h("button", { type: "button", onclick: () => save(new Blob([JSON.stringify(feature)], { type: "application/geo+json" }), `${feature.id}.geojson`) }, t("geojson"))),
  ].filter(Boolean);
}

export function drawLegend(node, legend, changes, ramp) {
  const entries = [...(state.shown.labels ? legend : []), ...(state.shown.change ? changes : [])];
  const seen = new Map(entries.map((e) => [`${e.name}${e.colour}`, e]));
  node.replaceChildren(...[...seen.values()].map((e) => h("span", {}, swatch(e.colour), e.name)),
    ...(ramp ? [h("span", { class: "ramp" }, t("unsure"), h("i", { "aria-hidden": "true" }), t("sure"))] : []));
  node.hidden = !node.childNodes.length;
}
