/** Lines over time, one panel under the other, as SVG. */
export interface Panel {
  title: string;
  /** Points are seconds and values. */
  lines: { name: string; points: [x: number, y: number][] }[];
}

const [WIDTH, HEIGHT, LEFT, GAP] = [720, 120, 60, 44];
const COLOURS = ["#2563eb", "#dc2626", "#059669"];

/** Draws the panels, each with its own scale from 0 to its largest value. */
export function plotPanels(title: string, panels: Panel[]): string {
  const end = Math.max(
    1,
    ...panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([x]) => x))),
  );
  const drawn = panels.map(({ title: name, lines }, index) => {
    const top = 40 + index * (HEIGHT + GAP);
    const most = Math.max(1, ...lines.flatMap(({ points }) => points.map(([, y]) => y)));
    const at = ([x, y]: [number, number]) =>
      `${(LEFT + (x / end) * WIDTH).toFixed(1)},${(top + HEIGHT - (y / most) * HEIGHT).toFixed(1)}`;
    const paths = lines.map(
      ({ name: line, points }, n) =>
        `<polyline fill="none" stroke="${COLOURS[n]}" points="${points.map(at).join(" ")}"/>` +
        `<text x="${LEFT + WIDTH + 8}" y="${top + 12 + n * 16}" fill="${COLOURS[n]}">${line}</text>`,
    );
    return (
      `<text x="${LEFT}" y="${top - 6}">${name}</text>` +
      `<path d="M${LEFT} ${top}v${HEIGHT}h${WIDTH}" fill="none" stroke="#999"/>` +
      `<text x="${LEFT - 6}" y="${top + 10}" text-anchor="end">${most.toFixed(0)}</text>` +
      `<text x="${LEFT - 6}" y="${top + HEIGHT}" text-anchor="end">0</text>${paths.join("")}`
    );
  });
  const height = 40 + panels.length * (HEIGHT + GAP) + 10;
  const legend = `<text x="${LEFT + WIDTH}" y="${height - 30}" text-anchor="end">${(end / 60).toFixed(1)} minutes</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 90}" height="${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/><text x="8" y="20" font-size="14">${title}</text>${drawn.join("")}${legend}</svg>\n`;
}
