// The page: reads the address, asks what there is, and keeps panel and map in step.
import { drawAbout, drawFilter, drawLayers, drawLegend } from "./controls.js";
import { ask, h, root, save } from "./dom.js";
import { Stage } from "./stage.js";
import { readAddress, state, tableOf, writeAddress } from "./state.js";
import { day, number, setLanguage, t } from "./texts.js";
import { drawValues } from "./values.js";

const by = (id) => document.getElementById(id);
const TABS = ["values", "layers", "filter", "about"];
let told, run, rows = [], feature = null, stage = null, said = "";

const on = {
  changed: () => { stage?.update(); draw(); },
  opacity: () => { stage?.opacity(); writeAddress(); },
  moved: writeAddress,
  tab: (name) => { state.tab = name; draw(); by(`tab-${name}`).focus(); },
  item: (id) => { state.item = id; if (state.before === id) state.before = null; on.changed(); },
  zone: (id) => { state.zone = id; stage?.update(); draw(); if (id) stage?.toZone(id); },
  filtered: () => { stage?.update(); draw(); },
  failed: (error) => say(t("failed", error.message)),
  found: (text) => { said = text; const node = by("found"); if (node) node.textContent = said; },
  explain: (row) => ask(`/runs/${encodeURIComponent(run.id)}/indicators/${rows.indexOf(row) + 1}/explanation`).then((told) => told.lines, () => []),
  working: async (task, name) => {
    say(t("loading"));
    try { await task; say(t("exported", name)); } catch (error) { on.failed(error); }
  },
  picked: async (id, zone) => {
    if (zone) state.zone = zone;
    state.feature = id;
    await fetchFeature();
    state.tab = "about";
    stage.update();
    draw();
    say(id || zone ? "" : t("noArea"));
  },
  picture: () => on.working(stage.picture([`${t("ai")} ${run.title} – ${state.item ?? ""}`, run.sources.join("; ")]).then((blob) => save(blob, `${run.id}.${state.item}.png`)), "PNG"),
};

const say = (text) => { by("status").textContent = text; };

async function fetchFeature() {
  feature = null;
  const table = tableOf(run);
  if (state.feature && table) {
    try { feature = await ask(`/collections/${encodeURIComponent(table.id)}/items/${encodeURIComponent(state.feature)}`); }
    catch { state.feature = null; }
  }
  stage?.mark(feature);
}

function draw() {
  const item = run.items.find((i) => i.id === state.item);
  const labels = item?.layers.find((l) => l.kind === "labels" && l.head === state.head) ?? item?.layers.find((l) => l.kind === "labels");
  const legend = labels?.legend ?? [];
  drawValues(by("values"), run, rows, on);
  drawLayers(by("layers"), run, on);
  drawFilter(by("filter"), run, legend, said, on);
  drawAbout(by("about"), run, feature, rows, on);
  drawLegend(by("legend"), labels?.unknown ? [...legend, { name: t("unknown"), colour: labels.unknown }] : legend, run.changes.flatMap((c) => c.legend), state.shown.confidence);
  for (const name of TABS) {
    const chosen = name === state.tab;
    by(`tab-${name}`).setAttribute("aria-selected", String(chosen));
    by(`tab-${name}`).tabIndex = chosen ? 0 : -1;
    by(name).hidden = !chosen;
  }
  const before = run.items.find((i) => i.id === state.before);
  by("tag-before").hidden = by("tag-after").hidden = !before;
  if (before) [by("tag-before").textContent, by("tag-after").textContent] = [before, item].map((i) => day(i.datetime));
  by("report").hidden = !run.report;
  by("report").href = `${root}/runs/${encodeURIComponent(run.id)}/report.html`;
  document.title = `${run.title} – aisf-geo`;
  writeAddress();
}

async function open(id) {
  delete document.body.dataset.shown;
  run = told.runs.find((r) => r.id === id) ?? told.runs[0];
  state.run = run.id;
  const best = run.items.reduce((a, i) => Math.max(a, i.coverage ?? 0), 0);
  if (!run.items.some((i) => i.id === state.item)) state.item = run.items.findLast((i) => (i.coverage ?? 0) >= 0.95 * best)?.id ?? null;
  if (!run.items.some((i) => i.id === state.before)) state.before = null;
  rows = run.indicators ? await ask(`/runs/${encodeURIComponent(run.id)}/indicators.json`) : [];
  if (!rows.length && state.tab === "values") state.tab = "layers";
  await fetchFeature();
  draw();
  if (run.state !== "complete") say(t("incomplete", run.state));
  await stage?.show(run);
  stage?.mark(feature);
  document.body.dataset.shown = run.id;
}

function choose(event) {
  const at = TABS.indexOf(state.tab);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) on.tab(TABS[(at + step + TABS.length) % TABS.length]);
}

async function start() {
  readAddress();
  setLanguage(state.language ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
  told = await ask("/map.json");
  by("run").replaceChildren(...told.runs.map((r) => h("option", { value: r.id }, r.title)));
  try { stage = new Stage(by("map"), on); }
  catch { by("map").replaceChildren(h("p", { class: "hint" }, t("mapFailed"))); }
  by("run").addEventListener("change", (e) => {
    Object.assign(state, { item: null, before: null, zone: null, feature: null, at: null, figure: null, filter: { classes: null, minArea: 0, minConfidence: 0 } });
    open(e.target.value);
  });
  by("language").addEventListener("click", () => { state.language = document.documentElement.lang === "en" ? "zh" : "en"; setLanguage(state.language); draw(); stage?.loadFeatures(); });
  for (const name of TABS) by(`tab-${name}`).addEventListener("click", () => { state.tab = name; draw(); });
  document.querySelector("[role=tablist]").addEventListener("keydown", choose);
  globalThis.aisf = { state, stage, map: stage?.map };
  await open(state.run);
  by("run").value = run.id;
}

start().catch(on.failed);
