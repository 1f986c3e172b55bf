// PMTiles archives: vector tiles in one file, read in ranges with the caller's token.
import * as maplibre from "./vendor/maplibre-gl.mjs";
import { headers, root } from "./dom.js";

const { FetchSource, PMTiles, Protocol } = globalThis.pmtiles;
const protocol = new Protocol();
const known = new Map();
maplibre.addProtocol("pmtiles", protocol.tile);

// What the page must know of the archive at a path of this server; asked for once.
export function archiveOf(path) {
  if (!known.has(path)) known.set(path, opened(location.origin + root + path));
  return known.get(path);
}

async function opened(url) {
  const archive = new PMTiles(new FetchSource(url, new Headers(headers())));
  protocol.add(archive);
  const [{ maxZoom }, { strategies = [] }] = await Promise.all([archive.getHeader(), archive.getMetadata()]);
  // tippecanoe writes for each zoom how many features it dropped from full tiles, and how many specks it drew as one.
  const leavesOut = (zoom) => {
    const { dropped_as_needed: dropped, tiny_polygons: specks } = strategies[Math.min(Math.floor(zoom), maxZoom)] ?? {};
    return dropped ? "foundPart" : specks ? "foundTogether" : "foundAll";
  };
  return { url: `pmtiles://${url}`, maxZoom, leavesOut };
}
