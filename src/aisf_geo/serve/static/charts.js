// Two drawings of a value: where its interval lies among the others, and how it went over time.
import { h } from "./dom.js";
import { day, number, t } from "./texts.js";

const WIDTH = 280;

// A bar from low to high with a mark at the value, on a scale that all zones share; without interval the mark alone.
export function intervalBar(row, scale) {
  const x = (value) => 6 + ((WIDTH - 12) * (value - scale.low)) / (scale.high - scale.low || 1);
  const said = row.interval
    ? `${number(row.value)} ${row.unit} (${number(row.interval.low)} – ${number(row.interval.high)})`
    : `${number(row.value)} ${row.unit}`;
  return h("svg", { class: "interval", viewBox: `0 0 ${WIDTH} 18`, role: "img", "aria-label": said },
    h("line", { x1: 6, x2: WIDTH - 6, y1: 9, y2: 9, class: "axis" }),
    row.interval && h("rect", { x: x(row.interval.low), width: Math.max(2, x(row.interval.high) - x(row.interval.low)), y: 5, height: 8, rx: 3, class: "bar" }),
    row.value !== null && h("circle", { cx: x(row.value), cy: 9, r: 5, class: "dot" }));
}

export function scaleOf(rows) {
  const numbers = rows.flatMap((r) => [r.value, r.interval?.low, r.interval?.high]).filter((v) => v !== null && v !== undefined);
  return { low: Math.min(0, ...numbers), high: Math.max(...numbers, 1e-9) };
}

// Values over time; a cross on the axis where one was withheld.
export function sparkline(rows) {
  const times = rows.map((r) => Date.parse(r.period.start));
  const values = rows.map((r) => r.value);
  const given = values.filter((v) => v !== null);
  if (given.length < 2) return null;
  const first = Math.min(...times), span = Math.max(...times) - first || 1;
  const high = Math.max(...given, ...rows.map((r) => r.interval?.high ?? -Infinity)), low = Math.min(0, ...given);
  const x = (time) => 6 + ((WIDTH - 12) * (time - first)) / span;
  const y = (value) => 40 - (34 * (value - low)) / (high - low || 1);
  const line = rows.flatMap((r, i) => (r.value === null ? [] : [`${x(times[i]).toFixed(1)},${y(r.value).toFixed(1)}`]));
  const ends = [rows[0], rows[rows.length - 1]].map((r) => day(r.period.start));
  return h("figure", { class: "spark" },
    h("svg", { viewBox: `0 0 ${WIDTH} 46`, role: "img", "aria-label": `${t("series")}: ${rows.map((r) => `${day(r.period.start)} ${number(r.value)}`).join(", ")}` },
      h("line", { x1: 6, x2: WIDTH - 6, y1: 40, y2: 40, class: "axis" }),
      ...rows.map((r, i) => r.interval && h("line", { x1: x(times[i]), x2: x(times[i]), y1: y(r.interval.low), y2: y(r.interval.high), class: "whisker" })),
      h("polyline", { points: line.join(" "), class: "line" }),
      ...rows.map((r, i) => r.value === null
        ? h("path", { d: `M${x(times[i]) - 3} 37l6 6m0-6l-6 6`, class: "cross" }, h("title", {}, `${day(r.period.start)}: ${t("withheld", r.withheld_reason)}`))
        : h("circle", { cx: x(times[i]), cy: y(r.value), r: 3, class: "dot" }, h("title", {}, `${day(r.period.start)}: ${number(r.value)} ${r.unit}`)))),
    h("figcaption", {}, h("span", {}, ends[0]), h("span", {}, ends[1])));
}
