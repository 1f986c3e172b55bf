// The indicator panel: zones in order of their value, with interval, course, caveat and how it came about.
import { intervalBar, scaleOf, sparkline } from "./charts.js";
import { download, h } from "./dom.js";
import { state } from "./state.js";
import { day, number, percent, t } from "./texts.js";

const figureOf = (row) => `${row.formula} ${row.name}`;

export function figures(rows) {
  return [...new Map(rows.map((r) => [figureOf(r), r])).values()];
}

// The rows of a figure by zone, each zone with its last value that was not withheld, or its last.
export function byZone(rows, figure) {
  const zones = new Map();
  for (const row of rows.filter((r) => figureOf(r) === figure)) zones.set(row.zone, [...(zones.get(row.zone) || []), row]);
  return [...zones.values()].map((series) => ({
    series: series.toSorted((a, b) => a.period.start.localeCompare(b.period.start)),
    last: series.findLast((r) => r.value !== null) || series[series.length - 1],
  }));
}

export function sentence(row) {
  return row.value === null
    ? t("withheldSentence", row.name, row.zone_name, row.withheld_reason, "", when(row))
    : t("valueSentence", row.name, row.zone_name, number(row.value), row.unit, when(row));
}

function when(row) {
  const [start, end] = [day(row.period.start), day(row.period.end)];
  return start === end ? start : `${start} – ${end}`;
}

export function drawValues(panel, run, rows, on) {
  if (!rows.length) {
    panel.replaceChildren(h("p", { class: "hint" }, t("noValues")));
    return;
  }
  const kinds = figures(rows);
  if (!kinds.some((r) => figureOf(r) === state.figure)) state.figure = figureOf(kinds[0]);
  const zones = byZone(rows, state.figure);
  if (state.sort === "value") zones.sort((a, b) => (b.last.value ?? -Infinity) - (a.last.value ?? -Infinity));
  else zones.sort((a, b) => a.last.zone_name.localeCompare(b.last.zone_name));
  const scale = scaleOf(zones.map((z) => z.last));
  panel.replaceChildren(
    figureChoice(kinds, on),
    h("label", {}, t("sort"), h("select", { id: "sort", onchange: (e) => { state.sort = e.target.value; on.changed(); } },
      h("option", { value: "value", selected: state.sort === "value" }, t("byValue")),
      h("option", { value: "name", selected: state.sort === "name" }, t("byName")))),
    h("ol", { class: "zones" }, ...zones.map((zone) => zoneEntry(zone, scale, on))),
    h("p", { class: "actions" }, `${t("downloadValues")}: `,
      h("button", { type: "button", id: "values-geojson", onclick: () => saveValues(run, "json", "geojson", on) }, t("geojson")), " ",
      h("button", { type: "button", id: "values-csv", onclick: () => saveValues(run, "csv", "csv", on) }, t("csv"))));
}

// Names of figures are sentences: a list that wraps, not a box that cuts them off.
function figureChoice(kinds, on) {
  const change = (e) => { state.figure = e.target.value; on.changed(); document.querySelector("#figure input:checked").focus(); };
  return h("fieldset", { id: "figure" }, h("legend", {}, t("figure")), ...kinds.map((r) => h("label", { class: "check" },
    h("input", { type: "radio", name: "figure", value: figureOf(r), checked: figureOf(r) === state.figure, onchange: change }), r.name)));
}

function saveValues(run, form, suffix, on) {
  on.working(download(`${run.id}.indicators`, {}, form, `${run.id}.indicators.${suffix}`), `${run.id}.indicators.${suffix}`);
}

function zoneEntry({ series, last }, scale, on) {
  const chosen = state.zone === last.zone;
  return h("li", { class: chosen ? "chosen" : "", "data-zone": last.zone },
    h("button", { type: "button", class: "zone", "aria-expanded": String(chosen), onclick: () => on.zone(chosen ? null : last.zone) },
      h("span", { class: "name" }, last.zone_name),
      h("span", { class: "value" }, last.value === null ? t("withheld", "").replace(/[:：]\s*$/, "") : `${number(last.value)} ${last.unit}`)),
    last.value !== null && intervalBar(last, scale),
    chosen && zoneDetails(series, last, on));
}

export function zoneDetails(series, last, on) {
  return h("div", { class: "details" },
    h("p", { class: "sentence" }, sentence(last)),
    h("p", { class: "interval-said" }, last.interval
      ? t("interval", number(last.interval.low), number(last.interval.high), last.unit, number(100 * last.interval.level), last.interval.method)
      : t("noInterval")),
    h("p", { class: "soft" }, t("seen", percent(last.coverage))),
    h("p", { class: "caveat" }, h("strong", {}, `${t("caveat")}: `), last.proxy ? `${t("proxy")} ` : "", last.caveat),
    sparkline(series),
    howComputed(last, on));
}

// A name and a text for each number of the inputs, however deep it lies.
function inputRows(name, value) {
  if (typeof value === "number") return [[name, number(value)]];
  if (value === null || typeof value !== "object") return [[name, value === null ? "–" : String(value)]];
  if (Array.isArray(value) && value.every((v) => v === null || typeof v !== "object")) return [[name, value.map((v) => inputRows("", v)[0][1]).join(", ")]];
  return Object.entries(value).flatMap(([key, each]) => inputRows(name ? `${name}, ${key}` : key, each));
}

function howComputed(row, on) {
  const told = h("pre", { class: "explanation", lang: "en" });
  const tell = (e) => { if (e.target.open && !told.textContent) on.explain(row).then((lines) => { told.textContent = lines.join("\n"); }); };
  return h("details", { ontoggle: tell }, h("summary", {}, t("how")),
    h("dl", {},
      h("dt", {}, t("formula")), h("dd", {}, row.formula),
      h("dt", {}, t("period")), h("dd", {}, when(row)),
      h("dt", {}, t("inputs")), h("dd", { class: "whole" }, h("table", {}, h("tbody", {}, ...inputRows("", row.inputs).map(([name, value]) =>
        h("tr", {}, h("th", { scope: "row" }, name.replaceAll("_", " ")), h("td", {}, value)))))),
      h("dt", {}, t("models")), h("dd", {}, row.provenance.models.join("; ")),
      h("dt", {}, t("scenes")), h("dd", { class: "scenes" }, ...row.provenance.items.map((item) =>
        h("button", { type: "button", title: t("show"), onclick: () => on.item(item) }, item)))), told);
}
