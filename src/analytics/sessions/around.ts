import type { MongoTx } from "../../db/mongo";
import { DAY, HOUR, midnightBefore } from "../../lib/clock";
import type { AnalyticsDeps } from "../deps";
import type { SessionEvent } from "../queue.store";
import { byTime, SESSION_GAP } from "./sessionise";

/** Keys that are read in one query. */
export const KEYS = 500;
/** How much further is read first of what goes on beyond what was read, in milliseconds. */
const FURTHER = 6 * HOUR;
/** First and last time of something, in milliseconds; both are in it. */
export interface Span {
  low: number;
  high: number;
}

/** Spans by device or visitor. */
export type Spans = Map<string, Span>;

export const widen = (spans: Spans, key: string, low: Date, high: Date = low): void => {
  const span = spans.get(key);
  if (!span) {
    spans.set(key, { low: low.getTime(), high: high.getTime() });
    return;
  }
  span.low = Math.min(span.low, low.getTime());
  span.high = Math.max(span.high, high.getTime());
};

/** The earliest time that is reached from `from` going back over events without a pause. `times` ascends. */
const reachBack = (times: number[], from: number): number => {
  let reached = from;
  for (let index = times.length - 1; index >= 0; index--) {
    const time = times[index] ?? 0;
    if (time > reached) continue;
    if (reached - time > SESSION_GAP) break;
    reached = time;
  }
  return reached;
};

const reachForth = (times: number[], from: number): number => {
  let reached = from;
  for (const time of times) {
    if (time < reached) continue;
    if (time - reached > SESSION_GAP) break;
    reached = time;
  }
  return reached;
};

/** What lies around the span of a key. */
interface Around {
  /** Sorted by time; before the span, what says that a visit ends where it begins. */
  events: SessionEvent[];
  /** True when there are pauses on both sides, false when midnights end visits that went on without one. */
  paused: boolean;
}

/**
 * Keys in parts that are read in one query: not too many, and of about one time, so that of a key at most about as
 * much is read in vain as its own span has.
 */
function partsOf(spans: Spans): [string, Span][][] {
  const parts: [string, Span][][] = [];
  let [from, to, shortest] = [0, 0, 0];
  for (const entry of [...spans].sort(([, a], [, b]) => a.low - b.low)) {
    const part = parts.at(-1);
    const [, { low, high }] = entry;
    const least = Math.min(shortest, high - low);
    const end = Math.max(to, high);
    if (part !== undefined && part.length < KEYS && end - from <= Math.max(DAY, 2 * least)) {
      part.push(entry);
      [to, shortest] = [end, least];
    } else {
      parts.push([entry]);
      [from, to, shortest] = [low, high, high - low];
    }
  }
  return parts;
}

/**
 * Every event of each key from its span, which is widened, on to both sides up to where a visit ends whatever changed
 * in the span, sorted by time. What lies around new events is mostly near, so many keys are read in one query, and only
 * a key whose events reach the edge of what was read is read further.
 */
export async function eventsAround(
  deps: AnalyticsDeps,
  field: "device" | "visitor",
  spans: Spans,
  tx: MongoTx,
): Promise<Map<string, Around>> {
  const around = new Map<string, Around>();
  for (const part of partsOf(spans)) {
    const from = Math.min(...part.map(([, { low }]) => low)) - 2 * SESSION_GAP;
    const to = Math.max(...part.map(([, { high }]) => high)) + 2 * SESSION_GAP;
    const read = async (key: string[], low: number, high: number) => {
      const range = { from: new Date(low), to: new Date(high) };
      return (await deps.analytics.queue.eventsOf(field, key, range, tx)).sort(byTime);
    };
    const keys = part.map(([key]) => key);
    const loaded = Map.groupBy(await read(keys, from, to), (event) => event[field] ?? "");
    for (const [key, span] of part) {
      let events = loaded.get(key) ?? [];
      let [began, ended] = [false, false];
      const times = () => events.map(({ at }) => at.getTime());
      const midnight = midnightBefore(span.low);
      for (let edge = from, step = FURTHER; ; step *= 4) {
        const reached = reachBack(times(), span.low);
        began = midnight - reached >= DAY;
        if (began || reached - SESSION_GAP >= edge) {
          span.low = began ? midnight : reached;
          break;
        }
        events = [...(await read([key], edge - step, edge)), ...events];
        edge -= step;
      }
      // A change ends or joins visits at midnights of the day after it. Without a pause, the next one ends them anyway.
      const end = midnightBefore(span.high + SESSION_GAP + DAY) + DAY;
      for (let edge = to, step = FURTHER; ; step *= 4) {
        const reached = reachForth(times(), span.high);
        ended = reached >= end;
        if (ended || reached + SESSION_GAP < edge) {
          span.high = ended ? end - 1 : reached;
          break;
        }
        events = [...events, ...(await read([key], edge, edge + step))];
        edge += step;
      }
      const { low, high } = span;
      around.set(key, {
        events: events.filter(({ at }) => at.getTime() <= high && (began || at.getTime() >= low)),
        paused: !began && !ended,
      });
    }
  }
  return around;
}
