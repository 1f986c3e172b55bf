// What is shown, kept in the address so that a view can be sent to someone.
export const state = {
  run: null, item: null, before: null, head: "", table: null, tab: "values", figure: null, zone: null, feature: null, at: null, language: null,
  shown: { imagery: true, labels: true, confidence: false, change: false, outlines: true, zones: true },
  opacity: { imagery: 1, labels: 0.6, confidence: 0.7, change: 0.9 },
  filter: { classes: null, minArea: 0, minConfidence: 0 },
  sort: "value", swipe: 50,
};

const PLAIN = ["run", "item", "before", "head", "table", "tab", "figure", "zone", "feature", "at", "language"];

export function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.get("token")) {
    sessionStorage.setItem("token", given.get("token"));
    given.delete("token");
    history.replaceState(null, "", `#${given}`);
  }
  for (const key of PLAIN) if (given.has(key)) state[key] = given.get(key);
  if (given.has("show")) {
    const names = given.get("show").split(",");
    for (const key of Object.keys(state.shown)) state.shown[key] = names.includes(key);
  }
  for (const key of Object.keys(state.opacity)) {
    const value = Number.parseFloat(given.get(`opacity-${key}`));
    if (value >= 0 && value <= 1) state.opacity[key] = value;
  }
  if (given.has("classes")) state.filter.classes = given.get("classes").split("|").filter(Boolean);
  for (const [key, name] of [["minArea", "min-area"], ["minConfidence", "min-confidence"]])
    state.filter[key] = Math.max(0, Number.parseFloat(given.get(name)) || 0);
}

export function writeAddress() {
  const said = new URLSearchParams();
  for (const key of PLAIN) if (state[key]) said.set(key, state[key]);
  said.set("show", Object.keys(state.shown).filter((k) => state.shown[k]).join(","));
  if (state.filter.classes) said.set("classes", state.filter.classes.join("|"));
  if (state.filter.minArea) said.set("min-area", state.filter.minArea);
  if (state.filter.minConfidence) said.set("min-confidence", state.filter.minConfidence);
  const opacity = { imagery: 1, labels: 0.6, confidence: 0.7, change: 0.9 };
  for (const key of Object.keys(opacity)) if (state.opacity[key] !== opacity[key]) said.set(`opacity-${key}`, state.opacity[key]);
  history.replaceState(null, "", `#${said}`);
}

// The table whose features are outlined, filtered and downloaded.
export const tableOf = (run) => run?.tables.find((x) => x.name === state.table) ?? run?.tables[0];

// The filter of a feature table as CQL2 text, for the scene that is shown; conditions on columns it lacks are left out.
export function filterText(table) {
  const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
  const has = (name) => table.columns.includes(name);
  const terms = state.item && has("scene") ? [`scene = ${quoted(state.item)}`] : [];
  const { classes, minArea, minConfidence } = state.filter;
  if (classes && has("class_name")) terms.push(classes.length ? `class_name IN (${classes.map(quoted).join(", ")})` : "class_name IS NULL");
  if (minArea && has("area_m2")) terms.push(`area_m2 >= ${minArea}`);
  if (minConfidence && has("confidence")) terms.push(`confidence >= ${minConfidence}`);
  return terms.join(" AND ");
}

export const filtered = () =>
  Boolean(state.filter.classes || state.filter.minArea || state.filter.minConfidence);
