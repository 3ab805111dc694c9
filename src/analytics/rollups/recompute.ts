import { mutate } from "../../audit";
import type { MongoTx } from "../../db/mongo";
import { after, DAY, midnightBefore } from "../../lib/clock";
import type { AnalyticsDeps } from "../deps";
import { firstStartsOf, identitiesOf } from "../identity";
import type { Level, Range, RollupDocument, SessionDocument } from "../model";
import type { Mark, MarkOrder } from "../rollups.store";
import {
  type Bucket,
  countEvents,
  countSessions,
  emptyBucket,
  QUARTER_HOUR,
  quarterHourOf,
  SOURCE_WINDOW,
} from "./buckets";
import { addDocument, toDocuments } from "./documents";
import { follow } from "./follow";

/** From the first to the last of quarters that are sorted by time. */
const spanOf = (marks: Mark[]): Range => ({
  from: marks[0]?.at ?? new Date(0),
  to: after(marks.at(-1)?.at ?? new Date(0), QUARTER_HOUR),
});

/** The periods of quarters that are sorted by time, those that follow one another as one. */
function rangesOf(marks: Mark[]): Range[] {
  const ranges: Range[] = [];
  for (const { at } of marks) {
    const last = ranges.at(-1);
    if (last?.to.getTime() === at.getTime()) last.to = after(at, QUARTER_HOUR);
    else ranges.push({ from: at, to: after(at, QUARTER_HOUR) });
  }
  return ranges;
}

/** Puts quarters that were made in place, and marks their days. */
async function putInPlace(
  deps: AnalyticsDeps,
  marks: Mark[],
  made: RollupDocument[],
  token: string,
  tx: MongoTx,
): Promise<void> {
  const times = marks.map(({ at }) => at);
  await deps.analytics.rollups.replace("quarterHour", times, made, tx);
  const days = [...new Set(times.map((time) => midnightBefore(time.getTime())))];
  await deps.analytics.rollups.mark(
    "day",
    days.map((time) => new Date(time)),
    token,
    tx,
  );
}

/** Recomputes quarters from their events and sessions. */
async function recomputeQuarterHours(deps: AnalyticsDeps, marks: Mark[]): Promise<void> {
  const token = deps.random.id();
  await mutate(deps, "mongo", {}, async (tx) => {
    // First, because it is what new marks conflict with.
    const cleared = await deps.analytics.rollups.clearMarks(marks, tx);
    if (cleared.length === 0) return;
    await putInPlace(deps, cleared, await countBuckets(deps, cleared, tx), token, tx);
  });
}

/**
 * Recomputes one quarter of very many events, which takes longer than MongoDB lets a transaction live: it is read
 * before the transaction that puts it in place. If it is marked again meanwhile, what was read may lack something: it is
 * put in place all the same, unless another process has made the quarter since, and the mark stays.
 * @returns whether it holds everything
 */
async function recomputeBusy(deps: AnalyticsDeps, read: Mark): Promise<boolean> {
  const maker = deps.random.id();
  const mark = await deps.analytics.rollups.claim(read, maker);
  if (mark === null) return true;
  const made = await countBuckets(deps, [mark]);
  return mutate(deps, "mongo", {}, async (tx) => {
    const isWhole = (await deps.analytics.rollups.clearMarks([mark], tx)).length > 0;
    if (isWhole || (await deps.analytics.rollups.release(mark, maker, tx)))
      await putInPlace(deps, [mark], made, maker, tx);
    return isWhole;
  });
}

/** The rollups of quarters, from their events and sessions. */
async function countBuckets(deps: AnalyticsDeps, marks: Mark[], tx?: MongoTx): Promise<RollupDocument[]> {
  const [range, ranges] = [spanOf(marks), rangesOf(marks)];
  const buckets = new Map<string, Bucket>();
  const bucketOf = (key: string): Bucket => {
    const bucket = buckets.get(key) ?? emptyBucket();
    buckets.set(key, bucket);
    return bucket;
  };
  const keyOf = (time: Date, bot: boolean) => `${quarterHourOf(time).getTime()} ${bot}`;
  for await (const events of deps.analytics.events.inBatches(ranges, tx)) {
    const searched = events.flatMap(({ kind, searchId }) =>
      kind === "search" && searchId ? [searchId] : [],
    );
    const followed = await follow(deps, [...new Set(searched)], { range, tx });
    for (const [key, own] of Map.groupBy(events, ({ at, bot }) => keyOf(at, bot))) {
      countEvents(bucketOf(key), own, followed);
    }
  }
  for await (const sessions of deps.analytics.sessions.started(ranges, tx)) {
    const visitors = [...new Set(sessions.map(({ visitor }) => visitor))];
    const identities = await identitiesOf(deps, visitors, tx);
    const firstStarts = await firstStartsOf(deps, identities, tx);
    const sourceOf = await lastSources(deps, sessions, tx);
    for (const [key, own] of Map.groupBy(sessions, ({ start, bot }) => keyOf(start, bot))) {
      countSessions(bucketOf(key), own, { identityOf: identities.of, firstStarts, sourceOf });
    }
  }
  return marks.flatMap(({ at }) =>
    [false, true].flatMap((bot) => toDocuments("quarterHour", at, bot, bucketOf(keyOf(at, bot)))),
  );
}

/** The last source that is not direct of each session's visitor, by then and within 30 days; else direct. */
async function lastSources(
  deps: AnalyticsDeps,
  sessions: SessionDocument[],
  tx?: MongoTx,
): Promise<(session: SessionDocument) => string> {
  const direct = sessions.filter(({ source }) => source === "direct");
  const times = direct.map(({ start }) => start.getTime());
  const range = {
    from: new Date(times.reduce((a, b) => Math.min(a, b), Number.MAX_SAFE_INTEGER) - SOURCE_WINDOW),
    to: new Date(times.reduce((a, b) => Math.max(a, b), 0)),
  };
  const visitors = [...new Set(direct.map(({ visitor }) => visitor))];
  const known = visitors.length === 0 ? [] : await deps.analytics.sessions.withSource(visitors, range, tx);
  const byVisitor = Map.groupBy(known, ({ visitor }) => visitor);
  return ({ visitor, start, source }) => {
    if (source !== "direct") return source;
    const before = (byVisitor.get(visitor) ?? []).filter(
      (other) => other.start < start && start.getTime() - other.start.getTime() <= SOURCE_WINDOW,
    );
    return before.sort((a, b) => a.start.getTime() - b.start.getTime()).at(-1)?.source ?? "direct";
  };
}

/** Recomputes days from their quarters. */
async function recomputeDays(deps: AnalyticsDeps, marks: Mark[]): Promise<void> {
  await mutate(deps, "mongo", {}, async (tx) => {
    for (const { at } of await deps.analytics.rollups.clearMarks(marks, tx)) {
      const range: Range = { from: at, to: after(at, DAY) };
      const quarters = await deps.analytics.rollups.find({ level: "quarterHour", range }, tx);
      const made = [false, true].flatMap((bot) => {
        const bucket = emptyBucket();
        for (const document of quarters) if (document.bot === bot) addDocument(bucket, document);
        return toDocuments("day", at, bot, bucket);
      });
      await deps.analytics.rollups.replace("day", [at], made, tx);
    }
  });
}

/** Buckets that are recomputed in one transaction, at most: so many of so long a time, in milliseconds. */
const TOGETHER = {
  quarterHour: { most: 96, within: DAY },
  day: { most: 8, within: 30 * DAY },
} as const satisfies Record<Level, { most: number; within: number }>;
/** A quarter-hour of so many events is busy: it is made by itself, and rests after it. */
const BUSY_FROM = 10_000;

/** Marks in groups that are recomputed together, each sorted by time. */
function groupsOf(level: Level, marks: Mark[], first: MarkOrder): Mark[][] {
  const { most, within } = TOGETHER[level];
  const groups: Mark[][] = [];
  for (const mark of marks.toSorted((a, b) => a.at.getTime() - b.at.getTime())) {
    const group = groups.at(-1);
    const start = group?.[0];
    if (group && start && group.length < most && mark.at.getTime() - start.at.getTime() < within)
      group.push(mark);
    else groups.push([mark]);
  }
  return first === "oldest" ? groups : groups.reverse();
}

const halvesOf = (marks: Mark[]): Mark[][] => {
  const middle = marks.length >> 1;
  return [marks.slice(0, middle), marks.slice(middle)];
};

/** Marks that are read at once. */
const PAGE = 500;
/** How long a busy quarter-hour, or a bucket that could not be made, rests: so many times what it took. */
const REST = 4;

/** The marks of buckets that rest in this process, and until when. */
const resting = new WeakMap<AnalyticsDeps, Map<string, number>>();

function restsOf(deps: AnalyticsDeps): Map<string, number> {
  const now = performance.now();
  const rests = new Map([...(resting.get(deps) ?? [])].filter(([, until]) => until > now));
  resting.set(deps, rests);
  return rests;
}

/**
 * Recomputes every bucket that is marked. One that cannot be made keeps no other from it.
 * @param first which end to begin at: a rebuild takes the newest, because servers take the oldest
 * @param all also those that rest, because they took long and were made, or failed, a moment ago
 * @param counted is told how many buckets were made
 * @param busyFrom events that make a quarter-hour a busy one
 * @param rest how long it rests then: so many times what it took
 * @returns false when it stopped before the end, something rests, or something failed
 */
export async function settleRollups(
  deps: AnalyticsDeps,
  {
    all,
    first = "oldest",
    stopped,
    counted = () => {},
    busyFrom = BUSY_FROM,
    rest = REST,
  }: {
    all: boolean;
    first?: MarkOrder;
    stopped: () => boolean;
    counted?: (buckets: number) => void;
    busyFrom?: number;
    rest?: number;
  },
): Promise<boolean> {
  const rests = restsOf(deps);
  let done = true;
  const recompute = async (level: Level, group: Mark[]): Promise<Mark[][]> => {
    const before = performance.now();
    const letRest = () => {
      const now = performance.now();
      for (const { _id } of group) rests.set(_id, now + rest * (now - before));
    };
    try {
      if (level === "day") await recomputeDays(deps, group);
      else if ((await deps.analytics.events.count(rangesOf(group), busyFrom)) < busyFrom)
        await recomputeQuarterHours(deps, group);
      else if (group.length > 1) return halvesOf(group);
      else {
        // Whoever wants everything, as a rebuild does, leaves what comes in meanwhile to the servers.
        if (!(await recomputeBusy(deps, group[0] as Mark)) && !all) done = false;
        letRest();
      }
    } catch (error) {
      // Which of them it was, their halves will tell.
      if (group.length > 1) return halvesOf(group);
      done = false;
      letRest();
      const from = group[0]?.at.toISOString();
      deps.log.error({ err: error, level, from }, "rollups were not made; a later settling tries again");
    }
    counted(group.length);
    return [];
  };
  for (const level of ["quarterHour", "day"] as const) {
    for (let marks: Mark[] = [], last: Date | null = null; ; last = marks.at(-1)?.at ?? null) {
      marks = await deps.analytics.rollups.marks(level, last, PAGE, first);
      if (marks.length === 0) break;
      const ready = marks.filter(({ _id }) => all || (rests.get(_id) ?? 0) <= performance.now());
      if (ready.length < marks.length) done = false;
      const groups = groupsOf(level, ready, first);
      for (let group = groups.shift(); group; group = groups.shift()) {
        if (stopped()) return false;
        groups.unshift(...(await recompute(level, group)));
      }
    }
  }
  return done;
}
