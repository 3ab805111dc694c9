import { after, HOUR, MINUTE, SECOND } from "../../lib/clock";
import type { AnalyticsDeps } from "../deps";
import { EVENT_TYPES, type IntakeDocument, type IntakeSample, OUTCOMES, type Outcome } from "../model";
import { knownFields } from "./schema";
import { kindOf } from "./spec";

/** Counts are written together, at most so often, in milliseconds: a write for each batch would cost too much. */
const WRITE_EVERY = 2 * SECOND;
/** Reasons that one minute of a process tells apart. */
const MAX_REASONS = 200;

interface Counting {
  rows: Map<string, IntakeDocument>;
  written: number;
}
const counting = new WeakMap<AnalyticsDeps, Counting>();

function countingOf(deps: AnalyticsDeps): Counting {
  const known = counting.get(deps) ?? { rows: new Map(), written: performance.now() };
  counting.set(deps, known);
  return known;
}

/** What may be shown of an event: words of ours alone, nothing that its sender wrote. */
export function sampleOf(event: unknown, origin: IntakeSample["origin"]): IntakeSample {
  const record = typeof event === "object" && event !== null ? (event as Record<string, unknown>) : {};
  const type = EVENT_TYPES.find((type) => type === record.type) ?? null;
  const kind = typeof record.event === "string" ? kindOf(record.event) : null;
  return { origin, type, kind, fields: knownFields(record) };
}

/** What became of one event. */
export interface Told {
  outcome: Outcome;
  reason?: string;
  count?: number;
  sample?: IntakeSample;
}

/** Counts what became of events. What a process has counted and not yet written is lost with it: some seconds. */
export async function countIntake(deps: AnalyticsDeps, told: Told[]): Promise<void> {
  const state = countingOf(deps);
  const at = new Date(Math.floor(deps.clock.now().getTime() / MINUTE) * MINUTE);
  for (const { outcome, reason = "", count = 1, sample = null } of told) {
    const own = state.rows.size < MAX_REASONS ? reason : "other";
    const _id = `${at.toISOString()} ${outcome} ${own}`;
    const row = state.rows.get(_id);
    if (row) row.count += count;
    else state.rows.set(_id, { _id, at, outcome, reason: own, count, sample });
  }
  if (performance.now() - state.written >= WRITE_EVERY) await writeIntake(deps);
}

/** Writes what was counted. A failure costs no event: it is logged, and tried again with the next counts. */
async function writeIntake(deps: AnalyticsDeps): Promise<void> {
  const state = countingOf(deps);
  const rows = [...state.rows.values()];
  state.rows.clear();
  state.written = performance.now();
  try {
    await deps.analytics.intake.add(rows);
  } catch (error) {
    deps.log.warn({ err: error }, "what became of events was not counted");
  }
}

/** Events that came in over the last hours, by minute and by reason. */
export async function intakeHealth(deps: AnalyticsDeps, { hours }: { hours: number }) {
  await writeIntake(deps);
  const to = after(deps.clock.now(), 1);
  const from = new Date(Math.floor(after(to, -hours * HOUR).getTime() / MINUTE) * MINUTE);
  const rows = await deps.analytics.intake.list({ from, to });
  const none = () => Object.fromEntries(OUTCOMES.map((name) => [name, 0])) as Record<Outcome, number>;
  const sum = (own: IntakeDocument[]) => {
    const counts = none();
    for (const { outcome, count } of own) counts[outcome] += count;
    return counts;
  };
  const reasons = Map.groupBy(
    rows.filter(({ reason }) => reason !== ""),
    ({ outcome, reason }) => `${outcome} ${reason}`,
  );
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    total: sum(rows),
    minutes: [...Map.groupBy(rows, ({ at }) => at.toISOString())].map(([at, own]) => ({ at, ...sum(own) })),
    reasons: [...reasons.values()]
      .map((own) => ({
        outcome: own[0]?.outcome ?? "rejected",
        reason: own[0]?.reason ?? "",
        count: own.reduce((total, { count }) => total + count, 0),
        lastAt: own.at(-1)?.at.toISOString() ?? "",
        samples: own.flatMap(({ sample }) => sample ?? []).slice(-3),
      }))
      .sort((a, b) => b.count - a.count),
  };
}
