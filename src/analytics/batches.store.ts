/** How stores of this folder read and write many documents. */
import type { mongo as driver, Model, QueryFilter } from "mongoose";
import type { Range } from "./model";

/** Ids in one `$in`, so that no query grows without bound. */
const CHUNK = 5000;

export const chunks = <T>(items: T[], size = CHUNK): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );

/** What `read` gives for all of `items`, a chunk after the other: a transaction does one thing at a time. */
export async function inChunks<T, R>(items: T[], read: (part: T[]) => PromiseLike<R[]>): Promise<R[]> {
  const results: R[][] = [];
  for (const part of chunks(items)) results.push(await read(part));
  return results.flat();
}

/** The driver's own collection: documents of ours go in as they are, without Mongoose copying each of them. */
export const collectionOf = <T extends driver.BSON.Document>(model: Model<T>) =>
  model.collection as unknown as driver.Collection<T>;
export type Insertable<T> = driver.OptionalUnlessRequiredId<T>[];

/** What happened in one of these periods, by its field `field`. */
export const within = (field: string, ranges: Range[]) => {
  const periods = ranges.map(({ from, to }) => ({ [field]: { $gte: from, $lt: to } }));
  return periods.length === 1 ? { ...periods[0] } : { $or: periods };
};

/** Option of what is read as a whole: the first answer holds a hundred documents otherwise, and the rest is asked for. */
export const WHOLE = { batchSize: 10_000 };

/** Options of what is read in batches; the time is the server's for all of them together, in milliseconds. */
export const STREAM = { batchSize: CHUNK, maxTimeMS: 60_000 };

export async function* batchesOf<T>(cursor: driver.FindCursor<T>): AsyncGenerator<T[]> {
  try {
    while (await cursor.hasNext()) yield cursor.readBufferedDocuments();
  } finally {
    await cursor.close();
  }
}

/** Removes up to `limit` documents, so that one call stays within its time. @returns how many */
export async function removeSome<T>(model: Model<T>, filter: QueryFilter<T>, limit: number): Promise<number> {
  const rows = await model.find(filter, { _id: 1 }).limit(limit).lean<{ _id: string }[]>();
  if (rows.length > 0) await model.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } });
  return rows.length;
}
