/** A profile of Bun's (`--cpu-prof`) as a flame graph. */

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

interface Frame {
  name: string;
  time: number;
  below: Map<string, Frame>;
}

const WIDTH = 1200;
const ROW = 16;
/** Frames of less than this share are left out. */
const LEAST = 0.004;
const DEEPEST = 32;

/** Whose code a frame is: a package, or a file of the project. */
const ownerOf = (url: string): string =>
  /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? /(src\/.*)$/.exec(url)?.[1] ?? "";

const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

function treeOf({ nodes, samples, timeDeltas }: Profile): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const root: Frame = { name: "all", time: 0, below: new Map() };
  for (const [index, sample] of samples.entries()) {
    const stack: string[] = [];
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
      const frame = byId.get(id)?.callFrame;
      if (!frame) continue;
      const owner = ownerOf(frame.url);
      stack.unshift(`${frame.functionName || "(anonymous)"}${owner === "" ? "" : ` · ${owner}`}`);
    }
    const time = timeDeltas[index] ?? 0;
    root.time += time;
    let at = root;
    // What drives every request is the same on all of them, and tells nothing.
    for (const name of stack.filter((name) => !/^(\(root\)|processTicksAndRejections)/.test(name))) {
      const next = at.below.get(name) ?? { name, time: 0, below: new Map() };
      at.below.set(name, next);
      next.time += time;
      at = next;
    }
  }
  return root;
}

/** @param title of the graph; @returns an SVG, in which a pointer shows each frame's name and share */
export function flameGraph(title: string, profile: Profile): string {
  const root = treeOf(profile);
  const shapes: string[] = [];
  let depth = 0;
  const draw = (frame: Frame, x: number, level: number): void => {
    const share = frame.time / root.time;
    if (share < LEAST || level > DEEPEST) return;
    depth = Math.max(depth, level);
    const width = share * WIDTH;
    const y = 30 + level * ROW;
    const hue = /src\//.test(frame.name) ? 212 : / · /.test(frame.name) ? 30 : 0;
    const label = escaped(frame.name);
    shapes.push(
      `<g><title>${label}: ${(share * 100).toFixed(1)} %</title><rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="hsl(${hue} 70% 72%)"/>` +
        (width > 60
          ? `<text x="${(x + 3).toFixed(1)}" y="${y + 11}">${escaped(frame.name.slice(0, Math.floor(width / 6.5)))}</text>`
          : "") +
        "</g>",
    );
    let from = x;
    for (const next of [...frame.below.values()].sort((a, b) => b.time - a.time)) {
      draw(next, from, level + 1);
      from += (next.time / root.time) * WIDTH;
    }
  };
  draw(root, 0, 0);
  const height = 40 + (depth + 1) * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="monospace" font-size="10"><rect width="100%" height="100%" fill="#fff"/><text x="4" y="18" font-size="13">${escaped(title)}</text>${shapes.join("")}</svg>\n`;
}

/** The shares of packages and of the project in a profile's own time, the largest first. */
export function shares({ nodes, samples, timeDeltas }: Profile): [owner: string, share: number][] {
  const byId = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, number>();
  let all = 0;
  for (const [index, sample] of samples.entries()) {
    const owner = ownerOf(byId.get(sample)?.url ?? "").replace(/^src\/.*/, "this project") || "Bun itself";
    const time = timeDeltas[index] ?? 0;
    all += time;
    times.set(owner, (times.get(owner) ?? 0) + time);
  }
  return [...times].map(([owner, time]): [string, number] => [owner, time / all]).sort((a, b) => b[1] - a[1]);
}
