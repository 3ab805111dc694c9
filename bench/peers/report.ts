/** Tables and plots of what was measured. */
import type { SpeedGoal } from "../goals";
import type { Measured } from "./measure";

/** What each side did in each scenario, a value for each counted run. */
export type Results = Map<string, Map<string, Measured[]>>;

export const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const digits = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

const withRange = (values: number[]): string =>
  `${digits(median(values))} (${digits(Math.min(...values))}–${digits(Math.max(...values))})`;

const COLUMNS = [
  ["perSecond", "requests a second"],
  ["p50", "p50, ms"],
  ["p99", "p99, ms"],
  ["server", "server, µs a request"],
  ["databases", "databases, µs a request"],
  ["memory", "memory, MB"],
] as const satisfies readonly (readonly [keyof Measured, string])[];

/** One table in Markdown: a row for each side. */
export function tableOf(what: string, sides: Map<string, Measured[]>): string {
  const rows = [...sides].map(
    ([side, runs]) =>
      `| ${side} | ${COLUMNS.map(([name]) => withRange(runs.map((run) => run[name]))).join(" | ")} |`,
  );
  return [
    `### ${what}`,
    "",
    `| side | ${COLUMNS.map(([, title]) => title).join(" | ")} |`,
    `| --- |${" ---: |".repeat(COLUMNS.length)}`,
    ...rows,
    "",
  ].join("\n");
}

export interface Judged {
  goal: SpeedGoal;
  /** This project's value by the other side's: the median of the rounds, and its range. */
  ratio: number;
  range: [number, number];
  outcome: "met" | "missed" | "noisy";
}

/** A ratio for each round, whose runs followed each other. "Noisy" when it moved more than it is away from the goal. */
export function judge(goal: SpeedGoal, results: Results): Judged | undefined {
  const sides = results.get(goal.scenario);
  const [ours, theirs] = [sides?.get("product"), sides?.get(goal.against)];
  if (!ours || !theirs) return undefined;
  const ratios = ours.flatMap((run, round) => {
    const other = theirs[round]?.[goal.measure];
    return other ? run[goal.measure] / other : [];
  });
  if (ratios.length === 0) return undefined;
  const ratio = median(ratios);
  const range: [number, number] = [Math.min(...ratios), Math.max(...ratios)];
  const [compare, bound] = goal.goal;
  const isClear = range.every((value) => value <= bound) || range.every((value) => value >= bound);
  const isNoisy = !isClear && range[1] - range[0] > Math.abs(ratio - 1);
  const isMet = compare === "<=" ? ratio <= bound : ratio >= bound;
  return { goal, ratio, range, outcome: isNoisy ? "noisy" : isMet ? "met" : "missed" };
}

const MEASURES: Record<SpeedGoal["measure"], string> = {
  server: "processor time",
  perSecond: "requests a second",
  p99: "p99",
  memory: "memory",
};

export const goalsTable = (judged: Judged[]): string =>
  [
    "| scenario | measure | against | ratio (range) | goal | |",
    "| --- | --- | --- | ---: | ---: | --- |",
    ...judged.map(
      ({ goal, ratio, range, outcome }) =>
        `| ${goal.scenario} | ${MEASURES[goal.measure]} | ${goal.against} | ${ratio.toFixed(2)} (${range.map((value) => value.toFixed(2)).join("–")}) | ${goal.goal.join(" ")} | ${outcome} |`,
    ),
    "",
  ].join("\n");

const COLOURS: Record<string, string> = { product: "#1f6feb", floor: "#8b949e", other: "#54aeff" };
const LABEL = 130;
const WIDTH = 520;
const BAR = 22;

/** A bar for each side: processor time of the server for one request, with the range of its runs. */
export function plotOf(what: string, sides: Map<string, Measured[]>): string {
  const rows = [...sides].map(([side, runs]) => ({ side, values: runs.map(({ server }) => server) }));
  const most = Math.max(...rows.flatMap(({ values }) => values));
  const x = (value: number) => ((value / most) * WIDTH).toFixed(1);
  const bars = rows.map(({ side, values }, index) => {
    const y = 40 + index * (BAR + 8);
    const middle = y + BAR / 2;
    const end = LABEL + Number(x(Math.max(...values)));
    return [
      `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end">${side}</text>`,
      `<rect x="${LABEL}" y="${y}" width="${x(median(values))}" height="${BAR}" fill="${COLOURS[side] ?? "#bf8700"}"/>`,
      `<path d="M${LABEL + Number(x(Math.min(...values)))} ${middle}H${end}" stroke="#57606a"/>`,
      `<text x="${end + 8}" y="${middle + 4}">${digits(median(values))} µs</text>`,
    ].join("");
  });
  const height = 48 + rows.length * (BAR + 8);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${LABEL + WIDTH + 110}" height="${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/><text x="8" y="20" font-size="14">${what}: processor time of the server for one request</text>${bars.join("")}</svg>\n`;
}
