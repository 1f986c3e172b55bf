// Every text of the page in both languages; names of classes, zones and scenes are data and stay as they are.
export const TEXTS = {
  en: {
    skip: "Skip to the panel", run: "Run", report: "Report", api: "Data and API", documents: "Documents", ai: "Made by AI.",
    made: "Automatic interpretation of satellite or aerial imagery; not checked by a person unless an accuracy assessment is named.",
    map: "Map", swipe: "Position of the before-after swipe", legend: "Legend", panel: "Panel", values: "Indicators", layers: "Layers",
    filter: "Filter", selected: "Selected", other: "中文", loading: "Loading …", failed: "The server could not answer: {0}",
    figure: "Figure", sort: "Order", byValue: "Largest value first", byName: "By name", noValues: "This run computed no indicators. The map shows its classes.",
    latest: "Latest value", withheld: "withheld: {0}", noInterval: "No interval: no reference sample has been labelled yet, so how sure this is is not known.",
    interval: "{0} to {1} {2} ({3} % interval, {4})", seen: "{0} % of the zone seen", proxy: "A proxy, not the official indicator.",
    caveat: "Keep in mind", how: "How was this computed?", formula: "Formula", inputs: "Inputs", scenes: "Source scenes", models: "Method or model", period: "Date", series: "Over time",
    show: "Show on the map", downloadValues: "Download", geojson: "GeoJSON", csv: "CSV", png: "Picture (PNG)", zone: "Zone",
    date: "Date", imagery: "Imagery", labels: "Classes", confidence: "Confidence", change: "Change", outlines: "Outlines", zones: "Zones", opacity: "Opacity of {0}",
    compare: "Compare with an earlier date", before: "Before", after: "After", noLayers: "This run has no maps.", unknown: "unknown", unsure: "unsure", sure: "sure", seenShare: "{0} % seen",
    table: "Table", classes: "Classes", minArea: "Smallest area (m²)", minConfidence: "Lowest confidence (0 to 1)", apply: "Apply", reset: "Reset", downloads: "Download what the filter lets through",
    found: "{0} areas match at this date.", foundMany: "The largest {0} areas in view are outlined; zoom in for more.", exported: "{0} saved.",
    foundUntiled: "The largest {0} areas in view are outlined, as this run has no vector tiles; zoom in for more.", foundAll: "All areas of this date are outlined.",
    foundTogether: "All areas of this date are outlined; those smaller than two pixels are drawn together.", foundPart: "The smallest areas are not outlined from so far; zoom in for more.",
    nothing: "Click an area or a zone on the map. With the keyboard: move the map with the arrow keys and press Enter to pick what lies under the cross.",
    here: "Here", area: "Area", className: "Class", meanConfidence: "Confidence", lowConfidence: "Confidence, lowest tenth", scene: "Scene", edge: "Cut by the image edge or a gap", yes: "yes", no: "no",
    attributes: "Attributes", sources: "Sources", imageryFrom: "Imagery", licence: "Licence", method: "Interpretation", taken: "Taken", feature: "Feature",
    sentence: "On {0} an area of {1} was interpreted as “{2}”, with a mean confidence of {3}.",
    valueSentence: "{0}, {1}: {2} {3} ({4}).", withheldSentence: "{0}, {1}: withheld ({4}), because {2}.",
    incomplete: "This run is {0}: what is shown is not all of it.", mapFailed: "This browser cannot draw the map (no WebGL); the panel and the data work.",
    undated: "not dated", noArea: "Nothing there.", reference: "Link to this view", token: "Access token", open: "Open",
  },
  zh: {
    skip: "跳到面板", run: "任务", report: "报告", api: "数据与接口", documents: "文档", ai: "由人工智能生成。",
    made: "对卫星或航空影像的自动判读结果；除非注明精度评估，否则未经人工核查。",
    map: "地图", swipe: "前后对比滑块位置", legend: "图例", panel: "面板", values: "指标", layers: "图层",
    filter: "筛选", selected: "所选", other: "English", loading: "正在加载……", failed: "服务器无法回答：{0}",
    figure: "指标", sort: "排序", byValue: "按数值从大到小", byName: "按名称", noValues: "此任务没有计算指标。地图显示其分类。",
    latest: "最新值", withheld: "不予发布：{0}", noInterval: "没有区间：尚未标注参考样本，因此不知道其可靠程度。",
    interval: "{0} 至 {1} {2}（{3}% 区间，{4}）", seen: "该区域 {0}% 被观测到", proxy: "代理指标，并非官方指标。",
    caveat: "注意", how: "这是怎样计算的？", formula: "公式", inputs: "输入", scenes: "来源影像", models: "方法或模型", period: "日期", series: "随时间变化",
    show: "在地图上显示", downloadValues: "下载", geojson: "GeoJSON", csv: "CSV", png: "图片（PNG）", zone: "区域",
    date: "日期", imagery: "影像", labels: "分类", confidence: "置信度", change: "变化", outlines: "轮廓", zones: "区域", opacity: "{0}的不透明度",
    compare: "与更早日期对比", before: "之前", after: "之后", noLayers: "此任务没有地图。", unknown: "未知", unsure: "不确定", sure: "确定", seenShare: "已观测 {0}%",
    table: "数据表", classes: "类别", minArea: "最小面积（平方米）", minConfidence: "最低置信度（0 至 1）", apply: "应用", reset: "重置", downloads: "下载筛选结果",
    found: "该日期有 {0} 个图斑符合条件。", foundMany: "仅勾绘视野内最大的 {0} 个图斑；放大可看到更多。", exported: "已保存 {0}。",
    foundUntiled: "此任务没有矢量瓦片，仅勾绘视野内最大的 {0} 个图斑；放大可看到更多。", foundAll: "该日期的所有图斑均已勾绘。",
    foundTogether: "该日期的所有图斑均已勾绘；小于两个像素的图斑合并绘制。", foundPart: "在此缩放级别未勾绘最小的图斑；放大可看到更多。",
    nothing: "请在地图上点击图斑或区域。使用键盘：用方向键移动地图，按回车键选取十字处的对象。",
    here: "此处", area: "面积", className: "类别", meanConfidence: "置信度", lowConfidence: "置信度（最低十分位）", scene: "影像", edge: "被影像边缘或空缺截断", yes: "是", no: "否",
    attributes: "属性", sources: "来源", imageryFrom: "影像", licence: "许可", method: "判读方法", taken: "拍摄时间", feature: "图斑",
    sentence: "{0}，一块面积为 {1} 的区域被判读为“{2}”，平均置信度为 {3}。",
    valueSentence: "{0}，{1}：{2} {3}（{4}）。", withheldSentence: "{0}，{1}：不予发布（{4}），原因：{2}。",
    incomplete: "此任务状态为 {0}：所显示的并非全部。", mapFailed: "此浏览器无法绘制地图（没有 WebGL）；面板和数据仍可使用。",
    undated: "无日期", noArea: "此处没有对象。", reference: "此视图的链接", token: "访问令牌", open: "打开",
  },
};

let language = "en";

export const languageOf = () => language;

export function setLanguage(wanted) {
  language = wanted === "zh" ? "zh" : "en";
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  const other = document.getElementById("language");
  other.textContent = t("other");
  other.lang = language === "zh" ? "en" : "zh-Hans";
}

export function t(key, ...values) {
  return TEXTS[language][key].replace(/\{(\d)\}/g, (_, i) => values[i]);
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : 2;
  return new Intl.NumberFormat(language === "zh" ? "zh-Hans" : "en-GB", { maximumFractionDigits: digits }).format(value);
}

export const area = (m2) =>
  m2 >= 1e6 ? `${number(m2 / 1e6)} km²` : m2 >= 1e4 ? `${number(m2 / 1e4)} ha` : `${number(m2)} m²`;

export const percent = (share) => number(Math.round(1000 * share) / 10);

export function day(text) {
  return text ? text.slice(0, 10) : t("undated");
}
