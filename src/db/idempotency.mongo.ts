import { Schema } from "mongoose";
import { batched } from "../lib/batched";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import type { JsonValue } from "../lib/json";
import { type IdempotencyStore, type IdempotentRequest, KEEP_MS, LEASE_MS } from "./idempotency";
import { modelOf, schemaOf } from "./model";
import { duplicateKeys, type Mongo, type MongoTx } from "./mongo";

interface IdempotencyDocument {
  /** Caller and key. */
  _id: string;
  hash: Buffer;
  leaseToken: string;
  leaseUntil: Date;
  status: number | null;
  /** JSON; not typed deeper because Mongoose’s types do not end on a recursive one. */
  body: unknown;
  expiresAt: Date;
}

const schema = schemaOf<IdempotencyDocument>(
  {
    _id: { type: String, required: true },
    hash: { type: Buffer, required: true },
    leaseToken: { type: String, required: true },
    leaseUntil: { type: Date, required: true },
    status: { type: Number, default: null },
    body: { type: Schema.Types.Mixed, default: null },
    expiresAt: { type: Date, required: true },
  },
  { collection: "idempotencyKeys", versionKey: false, minimize: false },
).index({ expiresAt: 1 }, { expireAfterSeconds: 0 });

/** The model of idempotency keys on a connection. */
export const idempotencyModel = modelOf("IdempotencyKey", schema);

const idOf = ({ callerId, key }: IdempotentRequest) => `${callerId}:${key}`;

/** The record of one answer. */
interface Write {
  updateOne: {
    filter: { _id: string; leaseToken: string };
    update: { $set: Pick<IdempotencyDocument, "status" | "body"> };
  };
}

/** Statements with new claims that are under way at once. */
const STATEMENTS = 2;
/** Most claims of one statement. */
const MAX_CLAIMS = 100;

/** Idempotency keys of changes in MongoDB. */
export const createMongoIdempotencyStore = (mongo: Mongo): IdempotencyStore<MongoTx> => {
  const Key = idempotencyModel(mongo.connection);
  // A key is claimed by every call that changes something, and a statement for each of 64 callers costs more than
  // their changes.
  const insertKey = batched(
    async (keys: IdempotencyDocument[]) => {
      let taken = new Set<number>();
      try {
        await Key.collection.insertMany(keys as never[], { ordered: false });
      } catch (error) {
        const known = duplicateKeys(error);
        if (!known) throw error;
        taken = known;
      }
      return keys.map((_, index) => ({ ok: true, value: !taken.has(index) }));
    },
    { atOnce: STATEMENTS, most: MAX_CLAIMS },
  );
  const together = new WeakMap<MongoTx, { writes: Write[]; done: Promise<void> }>();
  const requireAll = ({ matchedCount }: { matchedCount: number }, count: number) => {
    if (matchedCount === count) return;
    throw new AppError(
      "conflict",
      "The request took so long that another one took its Idempotency-Key over.",
    );
  };
  return {
    async claim(request) {
      const _id = idOf(request);
      const fresh = {
        hash: Buffer.from(request.hash),
        leaseToken: request.leaseToken,
        leaseUntil: after(request.now, LEASE_MS),
        status: null,
        body: null,
        expiresAt: after(request.now, KEEP_MS),
      };
      if (await insertKey({ _id, ...fresh })) return { state: "claimed" };
      const row = await Key.findById(_id).lean();
      // It was freed or expired in between: the caller may simply try again.
      if (!row) return { state: "in_flight" };
      const expired = row.expiresAt <= request.now;
      if (!expired) {
        if (Buffer.compare(Buffer.from(row.hash.buffer), Buffer.from(request.hash)) !== 0) {
          return { state: "other_request" };
        }
        if (row.status !== null)
          return { state: "done", answer: { status: row.status, body: row.body as JsonValue } };
        // Our own: the claim was written, its answer lost, and it was sent again.
        if (row.leaseToken === request.leaseToken) return { state: "claimed" };
        if (row.leaseUntil > request.now) return { state: "in_flight" };
      }
      const taken = await Key.updateOne(
        { _id, leaseToken: { $in: [row.leaseToken, request.leaseToken] } },
        { $set: fresh },
      );
      return { state: taken.matchedCount === 1 ? "claimed" : "in_flight" };
    },

    async complete(request, answer, tx) {
      const held = { _id: idOf(request), leaseToken: request.leaseToken };
      const update = { $set: { status: answer.status, body: answer.body } };
      if (tx === undefined) {
        requireAll(await Key.updateOne({ ...held, status: null }, update), 1);
        return;
      }
      // A transaction that runs again, because nobody heard that its first commit took, finds its own answer here.
      const write = { updateOne: { filter: held, update } };
      // Answers of one transaction that come at the same moment are one statement: a transaction may carry
      // the changes of many callers, and its statements cannot run side by side.
      const open = together.get(tx);
      if (open) {
        open.writes.push(write);
        return open.done;
      }
      const writes = [write];
      const done = Promise.resolve().then(async () => {
        together.delete(tx);
        const [first] = writes;
        const done =
          writes.length === 1 && first
            ? Key.updateOne(first.updateOne.filter, first.updateOne.update, mongo.in(tx))
            : Key.collection.bulkWrite(writes as never[], mongo.in(tx));
        requireAll(await done, writes.length);
      });
      together.set(tx, { writes, done });
      return done;
    },

    async release(request) {
      await Key.deleteOne({ _id: idOf(request), leaseToken: request.leaseToken, status: null });
    },

    async forget(callerId) {
      // Every id that begins with the caller's and a colon: a semicolon comes right after it.
      await Key.deleteMany({ _id: { $gte: `${callerId}:`, $lt: `${callerId};` } });
    },
  };
};
