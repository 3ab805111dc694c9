import { mutate } from "../audit";
import { chunksOf } from "../lib/chunks";
import { DAY, midnightBefore } from "../lib/clock";
import { setPopularity } from "../products";
import type { AnalyticsDeps } from "./deps";
import { COLUMNS, emptyBucket } from "./rollups/buckets";
import { addDocument } from "./rollups/documents";

/** What one of each is worth: closer to a purchase counts more. */
const WEIGHTS: Record<(typeof COLUMNS.products)[number], number> = {
  views: 1,
  clicks: 0,
  adds: 4,
  orders: 10,
  quantity: 0,
};
/** After so long an event counts half. */
const HALF_LIFE = 7 * DAY;
/** Days that are looked at; what is older counts for less than a thousandth. */
const WINDOW = 10 * HALF_LIFE;
/** Products in one transaction. */
const STEP = 100;

/**
 * Popularity by product id: views, additions and orders of people (not bots), each worth half after every seven days.
 * A day ages as a whole, so that the same events give the same number all day long.
 */
async function scoreProducts(deps: AnalyticsDeps): Promise<Map<string, number>> {
  const today = midnightBefore(deps.clock.now().getTime());
  const range = { from: new Date(today - WINDOW), to: new Date(today + DAY) };
  const scores = new Map<string, number>();
  for (const document of await deps.analytics.rollups.find({
    level: "day",
    kind: "products",
    bot: false,
    range,
  })) {
    const weight = 0.5 ** ((today - document.at.getTime()) / HALF_LIFE);
    const bucket = emptyBucket();
    addDocument(bucket, document);
    for (const [id, values] of bucket.rows.products) {
      const points = COLUMNS.products.reduce(
        (sum, name, index) => sum + WEIGHTS[name] * (values[index] ?? 0),
        0,
      );
      scores.set(id, (scores.get(id) ?? 0) + points * weight);
    }
  }
  return scores;
}

/**
 * Adds what behaviour says to the popularity of products. What the catalogue itself set (an import, say) is
 * kept as the base: when a product's number is not the one that was written last, it is a new base. The one
 * before it is none either: an edit that read the product before the write puts it back.
 */
export async function updatePopularity(
  deps: AnalyticsDeps,
  stopped: () => boolean = () => false,
): Promise<void> {
  const scores = await scoreProducts(deps);
  const ids = [...new Set([...scores.keys(), ...(await deps.analytics.popularity.ids())])].sort();
  for (const part of chunksOf(ids, STEP)) {
    if (stopped()) break;
    await mutate(deps, "mongo", {}, async (tx) => {
      const known = new Map((await deps.analytics.popularity.find(part, tx)).map((row) => [row._id, row]));
      const changes = (await deps.productPopularity.find(part, tx)).flatMap(({ _id, popularity }) => {
        const before = known.get(_id);
        const ours = before !== undefined && [before.written, before.before].includes(popularity);
        const base = ours ? before.base : popularity;
        // Three decimals tell products apart and keep a product that nobody looks at from being written each hour.
        const next = Math.round((base + (scores.get(_id) ?? 0)) * 1000) / 1000;
        return next === popularity && base === before?.base
          ? []
          : [{ id: _id, base, popularity: next, before: popularity }];
      });
      await setPopularity(deps, changes, tx);
      await deps.analytics.popularity.remember(changes, tx);
    });
  }
  await deps.search.refreshPopularity();
}
