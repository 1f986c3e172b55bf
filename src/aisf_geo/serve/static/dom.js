// Small tools: elements, requests with the caller's token, and files saved from memory.
export const root = document.documentElement.dataset.root;

export function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "line", "polyline", "circle", "rect", "path", "title", "text"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export const token = () => sessionStorage.getItem("token");

export const headers = () => (token() ? { authorization: `Bearer ${token()}` } : {});

export async function ask(path) {
  const answer = await fetch(root + path, { headers: { accept: "application/json", ...headers() } });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.description || answer.statusText);
  }
  return answer.json();
}

export function address(path, parameters) {
  return `${path}?${new URLSearchParams(Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== ""))}`;
}

export function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// All pages of a collection as one GeoJSON file, or one CSV table.
export async function download(collection, parameters, form, name) {
  const path = `/collections/${encodeURIComponent(collection)}/items`;
  const parts = [];
  let whole = null;
  for (let offset = 0; ; offset += 10_000) {
    const asked = address(path, { ...parameters, f: form, limit: 10_000, offset: offset || "" });
    const answer = await fetch(root + asked, { headers: headers() });
    if (!answer.ok) throw new Error((await answer.json()).description);
    if (form === "csv") {
      const text = await answer.text();
      parts.push(offset ? text.slice(text.indexOf("\n") + 1) : text);
      if (!(answer.headers.get("link") || "").includes('rel="next"')) break;
    } else {
      const page = await answer.json();
      if (whole) whole.features.push(...page.features);
      else whole = page;
      if (!page.links.some((l) => l.rel === "next")) break;
    }
  }
  if (whole) {
    delete whole.links;
    whole.numberReturned = whole.features.length;
    parts.push(JSON.stringify(whole));
  }
  save(new Blob(parts, { type: form === "csv" ? "text/csv" : "application/geo+json" }), name);
}
