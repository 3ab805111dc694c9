import type { MongoTx } from "../db/mongo";
import type { Deps } from "../deps";
import { after, DAY, MINUTE } from "../lib/clock";
import type { Level, RollupDocument, RollupKind, SessionDocument } from "./model";
import { pack, unpackInto, visitorNumber } from "./packing";
import { byTime } from "./sessions";
import type { FollowUp, Mark, Range, RollupEvent } from "./store";

/** Length of a bucket, in milliseconds: zones differ by quarters of an hour. */
export const QUARTER = 15 * MINUTE;
/** How long after a click an order of what was clicked counts for its search. */
export const ORDER_WINDOW = DAY;
/** How long after a search an event with its id follows it: an id that is used for good joins no months. */
const FOLLOW_WINDOW = DAY;

export const quarterOf = (time: Date): Date => new Date(Math.floor(time.getTime() / QUARTER) * QUARTER);

/** What is counted of a bucket. Everything adds up over buckets. */
export const COUNTS = [
  "events",
  "pages",
  "views",
  "clicks",
  "adds",
  "checkouts",
  "orders",
  "searches",
  "searchesWithoutResult",
  "sessions",
  "bounces",
  "conversions",
  "seconds",
  "viewed",
  "added",
  "ordered",
] as const;
export type CountName = (typeof COUNTS)[number];

export interface Totals {
  counts: Record<CountName, number>;
  /** Minor units by currency. */
  revenue: Record<string, number>;
}

export const noTotals = (): Totals => ({
  counts: Object.fromEntries(COUNTS.map((name) => [name, 0])) as Record<CountName, number>,
  revenue: {},
});

/** Adds `more` to `sum`, and gives it. */
export function addTotals(sum: Totals, more: Totals): Totals {
  for (const name of COUNTS) sum.counts[name] += more.counts[name];
  for (const [currency, amount] of Object.entries(more.revenue)) {
    sum.revenue[currency] = (sum.revenue[currency] ?? 0) + amount;
  }
  return sum;
}

/** The columns of each kind of rows, after the key. */
export const COLUMNS = {
  products: ["views", "clicks", "adds", "orders", "quantity"],
  categories: ["views", "adds", "orders"],
  searches: ["searches", "withoutResult", "clicked", "clicks", "clickMs", "ordered"],
  sources: ["sessions", "bounces", "conversions", "newVisitors"],
} as const;
export type RowKind = keyof typeof COLUMNS;
export const ROW_KINDS = Object.keys(COLUMNS) as RowKind[];

/** Rows of counts by key. */
export type Rows = Map<string, number[]>;

export const addRow = (rows: Rows, key: string, values: readonly number[]): void => {
  const row = rows.get(key);
  if (row === undefined) rows.set(key, [...values]);
  else
    values.forEach((value, index) => {
      row[index] = (row[index] ?? 0) + value;
    });
};

/** Length of the rows in one document: at most 12 MB of UTF-8, where a document may have 16. */
const ROWS_LENGTH = 4_000_000;
/** Visitors in one document, eight bytes each in each of its two sets. */
const VISITORS_PER_DOCUMENT = 250_000;

/** One bucket of people or of bots. */
export interface Bucket {
  totals: Totals;
  seen: Set<number>;
  fresh: Set<number>;
  rows: Record<RowKind, Rows>;
}

export const emptyBucket = (): Bucket => ({
  totals: noTotals(),
  seen: new Set(),
  fresh: new Set(),
  rows: { products: new Map(), categories: new Map(), searches: new Map(), sources: new Map() },
});

const KIND_COUNTS: Partial<Record<NonNullable<RollupEvent["kind"]>, CountName>> = {
  page: "pages",
  view: "views",
  click: "clicks",
  add: "adds",
  checkout: "checkouts",
  order: "orders",
  search: "searches",
};

/** What followed searches, by the ids of their events. */
export interface Followed {
  clicks: Map<string, FollowUp[]>;
  /** Searches after whose click an order of the same thing came. */
  ordered: Set<string>;
}

/** Counts events into a bucket. Pure: the same events give the same bucket. */
export function countEvents(bucket: Bucket, events: RollupEvent[], followed: Followed): void {
  const { counts, revenue } = bucket.totals;
  for (const event of events) {
    counts.events++;
    const name = event.kind === null ? undefined : KIND_COUNTS[event.kind];
    if (name !== undefined) counts[name]++;
    const one = (...kinds: RollupEvent["kind"][]) => (kinds.includes(event.kind) ? 1 : 0);
    if (one("view", "click", "add", "order") === 1) {
      for (const { id, quantity } of event.products) {
        const sold = one("order") * quantity;
        addRow(bucket.rows.products, id, [one("view"), one("click"), one("add"), one("order"), sold]);
      }
    }
    if (one("view", "list", "add", "order") === 1) {
      for (const category of event.categories) {
        addRow(bucket.rows.categories, category, [one("view", "list"), one("add"), one("order")]);
      }
    }
    if (event.kind === "order" && event.revenue > 0) {
      const currency = event.currency ?? "XXX";
      revenue[currency] = (revenue[currency] ?? 0) + event.revenue;
    }
    if (event.kind === "search") {
      const withoutResult = event.results === 0 ? 1 : 0;
      counts.searchesWithoutResult += withoutResult;
      const clicks = followed.clicks.get(event._id) ?? [];
      const first = clicks.reduce((least, { at }) => Math.min(least, at.getTime()), Number.POSITIVE_INFINITY);
      addRow(bucket.rows.searches, event.query ?? "", [
        1,
        withoutResult,
        clicks.length > 0 ? 1 : 0,
        clicks.length,
        clicks.length > 0 ? first - event.at.getTime() : 0,
        followed.ordered.has(event._id) ? 1 : 0,
      ]);
    }
  }
}

/** Counts sessions that began in a bucket. @param firstStarts when each visitor's first session began */
export function countSessions(
  bucket: Bucket,
  sessions: SessionDocument[],
  firstStarts: Map<string, Date>,
): void {
  const { counts } = bucket.totals;
  for (const session of sessions) {
    const number = visitorNumber(session.visitor);
    const isFirst = firstStarts.get(session.visitor)?.getTime() === session.start.getTime();
    const bounced = session.bounced ? 1 : 0;
    const converted = session.counts.orders > 0 ? 1 : 0;
    bucket.seen.add(number);
    if (isFirst) bucket.fresh.add(number);
    counts.sessions++;
    counts.bounces += bounced;
    counts.conversions += converted;
    counts.seconds += Math.round((session.end.getTime() - session.start.getTime()) / 1000);
    if (session.funnel >= 1) counts.viewed++;
    if (session.funnel >= 2) counts.added++;
    if (session.funnel >= 3) counts.ordered++;
    addRow(bucket.rows.sources, session.source, [1, bounced, converted, isFirst ? 1 : 0]);
  }
}

/** Rows as JSON texts that each fit into a document. Keys come from outside, so their number says nothing. */
function rowTexts(rows: Rows): string[] {
  const parts: string[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const [key, values] of rows) {
    const row = JSON.stringify([key, ...values]);
    length += row.length + 1;
    if (length > ROWS_LENGTH) {
      parts.push([]);
      length = row.length + 1;
    }
    parts.at(-1)?.push(row);
  }
  return parts.map((part) => `[${part.join(",")}]`);
}

/** The documents of a bucket; what is empty has none. */
export function toDocuments(level: Level, at: Date, bot: boolean, bucket: Bucket): RollupDocument[] {
  const document = (kind: RollupKind, part: number): RollupDocument => ({
    _id: `${level}:${at.toISOString()}:${bot ? "bots" : "people"}:${kind}:${part}`,
    level,
    kind,
    bot,
    at,
  });
  const { counts } = bucket.totals;
  if (counts.events === 0 && counts.sessions === 0) return [];
  const [seen, fresh] = [[...bucket.seen], [...bucket.fresh]];
  const partOf = (numbers: number[], part: number) =>
    pack(numbers.slice(part * VISITORS_PER_DOCUMENT, (part + 1) * VISITORS_PER_DOCUMENT));
  // Who is new is seen too, so the parts of `seen` are enough for both.
  const parts = Math.max(1, Math.ceil(seen.length / VISITORS_PER_DOCUMENT));
  return [
    ...Array.from({ length: parts }, (_, part) => ({
      ...document("totals", part),
      ...(part === 0 ? { totals: bucket.totals } : {}),
      seen: partOf(seen, part),
      fresh: partOf(fresh, part),
    })),
    ...ROW_KINDS.flatMap((kind) =>
      rowTexts(bucket.rows[kind]).map((rows, part) => ({ ...document(kind, part), rows })),
    ),
  ];
}

/** Adds what a rollup document holds to a bucket. */
export function addDocument(bucket: Bucket, document: RollupDocument): void {
  if (document.totals !== undefined) addTotals(bucket.totals, document.totals as Totals);
  // Mongoose gives a lean buffer as the driver does, in a wrapper.
  unpackInto(bucket.seen, bytesOf(document.seen));
  unpackInto(bucket.fresh, bytesOf(document.fresh));
  if (document.rows !== undefined && document.kind in COLUMNS) {
    const rows = bucket.rows[document.kind as RowKind];
    for (const [key, ...values] of JSON.parse(document.rows) as [string, ...number[]][])
      addRow(rows, key, values);
  }
}

const bytesOf = (value: Buffer | undefined): Uint8Array | undefined =>
  value instanceof Uint8Array ? value : (value as { buffer: Uint8Array } | undefined)?.buffer;

/**
 * The search that an event follows, or takes the followers of if it is one itself: the last other one by then, within a
 * day.
 * @param searches those with the event's id, sorted by time
 */
export function searchBefore<Search extends Pick<FollowUp, "_id" | "at">>(
  searches: Search[],
  { _id, at }: Pick<FollowUp, "_id" | "at">,
): Search | undefined {
  let [low, high] = [0, searches.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const search = searches[middle];
    if (search && search.at <= at) low = middle + 1;
    else high = middle;
  }
  const last = searches[low - 1];
  const search = last?._id === _id ? searches[low - 2] : last;
  return search && at.getTime() - search.at.getTime() <= FOLLOW_WINDOW ? search : undefined;
}

/** The searches that events may follow, by whether bots made them and their id, sorted by time. */
export async function searchesOf(
  deps: Deps,
  ids: string[],
  { from, to }: Range,
  tx?: MongoTx,
): Promise<Map<string, Pick<FollowUp, "_id" | "at" | "bot" | "searchId">[]>> {
  const range = { from: after(from, -FOLLOW_WINDOW), to };
  return Map.groupBy((await deps.analytics.searchesWith(ids, range, tx)).sort(byTime), searchLine);
}

/** What a search and what follows it have in common. */
export const searchLine = ({ searchId, bot }: Pick<FollowUp, "searchId" | "bot">) => `${bot} ${searchId}`;

/**
 * What followed searches within a day. A search that was told again (a page that was loaded anew) has several
 * events: what follows belongs to the last one before it, so that nothing counts twice. A bot on a person's
 * link, or the other way round, followed nothing.
 * @param ids search ids
 * @param range when the searches happened
 * @param bot whose searches; of both when it is not given
 */
export async function follow(
  deps: Deps,
  ids: string[],
  { range, bot, tx }: { range: Range; bot?: boolean; tx?: MongoTx },
): Promise<Followed> {
  const clicks: Followed["clicks"] = new Map();
  if (ids.length === 0) return { clicks, ordered: new Set() };
  const following = { from: range.from, to: after(range.to, FOLLOW_WINDOW) };
  const searches = await searchesOf(deps, ids, following, tx);
  if (bot !== undefined) for (const searchId of ids) searches.delete(searchLine({ searchId, bot: !bot }));
  const followUps = (await deps.analytics.followUps(ids, following, tx)).flatMap((followUp) => {
    const search = searchBefore(searches.get(searchLine(followUp)) ?? [], followUp);
    return search === undefined ? [] : [{ ...followUp, search: search._id }];
  });
  for (const followUp of followUps) {
    if (followUp.kind !== "click") continue;
    const own = clicks.get(followUp.search);
    if (own) own.push(followUp);
    else clicks.set(followUp.search, [followUp]);
  }
  return { clicks, ordered: await orderedSearches(deps, followUps, tx) };
}

/** Searches whose clicked, viewed or added things their visitor ordered within a day after. */
async function orderedSearches(
  deps: Deps,
  followUps: (FollowUp & { search: string })[],
  tx?: MongoTx,
): Promise<Set<string>> {
  const ordered = new Set<string>();
  if (followUps.length === 0) return ordered;
  const times = followUps.map(({ at }) => at.getTime());
  const range: Range = {
    from: new Date(times.reduce((a, b) => Math.min(a, b))),
    to: new Date(times.reduce((a, b) => Math.max(a, b)) + ORDER_WINDOW + 1),
  };
  const visitors = [...new Set(followUps.map(({ visitor }) => visitor))];
  const orders = Map.groupBy(
    await deps.analytics.visitorEvents(visitors, ["order"], range, tx),
    ({ visitor }) => visitor,
  );
  for (const { visitor, at, products, search } of followUps) {
    const wanted = new Set(products.map(({ id }) => id));
    const bought = orders.get(visitor)?.some((order) => {
      const wait = order.at.getTime() - at.getTime();
      return wait >= 0 && wait <= ORDER_WINDOW && order.products.some(({ id }) => wanted.has(id));
    });
    if (bought) ordered.add(search);
  }
  return ordered;
}

/** The period of quarters that follow one another. */
const rangeOf = (marks: Mark[]): Range => ({
  from: marks[0]?.at ?? new Date(0),
  to: after(marks.at(-1)?.at ?? new Date(0), QUARTER),
});

/** Recomputes quarters from their events and sessions. @returns how many events were counted */
async function recomputeQuarters(deps: Deps, marks: Mark[]): Promise<number> {
  const token = deps.random.id();
  return deps.mongo.transaction(async (tx) => {
    // First, because it is what a new mark of the sessioniser conflicts with.
    const cleared = await deps.analytics.clearDirty(marks, tx);
    let counted = 0;
    for (const run of runsOf(cleared)) counted += await recomputeRun(deps, run, tx);
    const days = [...new Set(cleared.map(({ at }) => Math.floor(at.getTime() / DAY) * DAY))];
    await deps.analytics.markDirty(
      "day",
      days.map((time) => new Date(time)),
      token,
      tx,
    );
    return counted;
  });
}

/** Recomputes quarters that follow one another. @returns how many events were counted */
async function recomputeRun(deps: Deps, marks: Mark[], tx: MongoTx): Promise<number> {
  const range = rangeOf(marks);
  let counted = 0;
  const buckets = new Map<string, Bucket>();
  const bucketOf = (key: string): Bucket => {
    const bucket = buckets.get(key) ?? emptyBucket();
    buckets.set(key, bucket);
    return bucket;
  };
  const keyOf = (time: Date, bot: boolean) => `${quarterOf(time).getTime()} ${bot}`;
  for await (const events of deps.analytics.rollupEvents(range, tx)) {
    counted += events.length;
    const searched = events.flatMap(({ kind, searchId }) =>
      kind === "search" && searchId ? [searchId] : [],
    );
    const followed = await follow(deps, [...new Set(searched)], { range, tx });
    for (const [key, own] of Map.groupBy(events, ({ at, bot }) => keyOf(at, bot))) {
      countEvents(bucketOf(key), own, followed);
    }
  }
  for await (const sessions of deps.analytics.sessionsStarted(range, tx)) {
    const visitors = [...new Set(sessions.map(({ visitor }) => visitor))];
    const firstStarts = await deps.analytics.firstStarts(visitors, tx);
    for (const [key, own] of Map.groupBy(sessions, ({ start, bot }) => keyOf(start, bot))) {
      countSessions(bucketOf(key), own, firstStarts);
    }
  }
  const made = marks.flatMap(({ at }) =>
    [false, true].flatMap((bot) => toDocuments("quarter", at, bot, bucketOf(keyOf(at, bot)))),
  );
  await deps.analytics.replaceRollups("quarter", range, made, tx);
  return counted;
}

/** Recomputes days from their quarters. */
async function recomputeDays(deps: Deps, marks: Mark[]): Promise<void> {
  await deps.mongo.transaction(async (tx) => {
    for (const { at } of await deps.analytics.clearDirty(marks, tx)) {
      const range: Range = { from: at, to: after(at, DAY) };
      const quarters = await deps.analytics.rollups({ level: "quarter", range }, tx);
      const made = [false, true].flatMap((bot) => {
        const bucket = emptyBucket();
        for (const document of quarters) if (document.bot === bot) addDocument(bucket, document);
        return toDocuments("day", at, bot, bucket);
      });
      await deps.analytics.replaceRollups("day", range, made, tx);
    }
  });
}

/** Quarters that are recomputed in one transaction, at most. */
const RUN = 24;
/** Events from which on a transaction recomputes one quarter alone, and a quarter is a busy one. */
const MANY = 20_000;

/** Marks in runs of quarters that follow one another. */
export function runsOf(marks: Mark[]): Mark[][] {
  const runs: Mark[][] = [];
  for (const mark of marks) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run && last && run.length < RUN && mark.at.getTime() - last.at.getTime() === QUARTER) run.push(mark);
    else runs.push([mark]);
  }
  return runs;
}

/** Marks that are read at once. */
const PAGE = 500;
/** How long a busy quarter, or a bucket that could not be made, rests: so many times what it took. */
const REST = 4;

/** The marks of buckets that rest in this process, and until when. */
const resting = new WeakMap<Deps, Map<string, number>>();

function restsOf(deps: Deps): Map<string, number> {
  const now = performance.now();
  const rests = new Map([...(resting.get(deps) ?? [])].filter(([, until]) => until > now));
  resting.set(deps, rests);
  return rests;
}

/**
 * Recomputes every bucket that is marked, the oldest first. One that cannot be made keeps no other from it.
 * @param all also those that rest, because they took long and were made, or failed, a moment ago
 * @returns false when it stopped before the end, something rests, or something failed
 */
export async function settleRollups(
  deps: Deps,
  { all, stopped }: { all: boolean; stopped: () => boolean },
): Promise<boolean> {
  const rests = restsOf(deps);
  let done = true;
  const recompute = async (level: Level, run: Mark[]): Promise<Mark[][]> => {
    const before = performance.now();
    const rest = () => {
      const now = performance.now();
      for (const { _id } of run) rests.set(_id, now + REST * (now - before));
    };
    try {
      if (level === "day") await recomputeDays(deps, run);
      else if (run.length > 1 && (await deps.analytics.countEvents(rangeOf(run), MANY)) >= MANY) {
        const middle = run.length >> 1;
        return [run.slice(0, middle), run.slice(middle)];
      } else if ((await recomputeQuarters(deps, run)) >= MANY) rest();
    } catch (error) {
      // Which of them it was, each of them alone will tell.
      if (run.length > 1) return run.map((mark) => [mark]);
      done = false;
      rest();
      const from = run[0]?.at.toISOString();
      deps.log.error({ err: error, level, from }, "rollups were not made; a later settling tries again");
    }
    return [];
  };
  for (const level of ["quarter", "day"] as const) {
    for (let marks: Mark[] = [], last = new Date(0); ; last = marks.at(-1)?.at ?? last) {
      marks = await deps.analytics.dirty(level, last, PAGE);
      if (marks.length === 0) break;
      const ready = marks.filter(({ _id }) => all || (rests.get(_id) ?? 0) <= performance.now());
      if (ready.length < marks.length) done = false;
      const runs = level === "quarter" ? runsOf(ready) : ready.map((mark) => [mark]);
      for (let run = runs.shift(); run; run = runs.shift()) {
        if (stopped()) return false;
        runs.unshift(...(await recompute(level, run)));
      }
    }
  }
  return done;
}
