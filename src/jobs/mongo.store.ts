import { type QueryFilter, Schema } from "mongoose";
import { modelOf, schemaOf } from "../db/model";
import { duplicateKey, type Mongo, type MongoTx, OPERATION_LIMIT } from "../db/mongo";
import type { JsonValue } from "../lib/json";
import { currentScope, jobOrigin, type Scope } from "../telemetry/scope";
import { DEFAULT_MAX_ATTEMPTS, enqueuedIn, type GroupedJobStore, type JobState, type NewJob } from "./jobs";

interface JobDocument {
  _id: string;
  kind: string;
  /** JSON; not typed deeper because Mongoose’s types do not end on a recursive one. */
  payload: unknown;
  dedupeKey?: string;
  status: "waiting" | "done" | "failed";
  runAt: Date;
  attempts: number;
  maxAttempts: number;
  fence: number;
  progress: unknown;
  lastError: string | null;
  createdAt: Date;
  finishedAt: Date | null;
  requestId?: string | null;
  traceparent?: string | null;
}

const schema = schemaOf<JobDocument>(
  {
    _id: { type: String, required: true },
    kind: { type: String, required: true },
    payload: { type: Schema.Types.Mixed },
    dedupeKey: String,
    status: { type: String, enum: ["waiting", "done", "failed"], default: "waiting" },
    runAt: { type: Date, required: true },
    attempts: { type: Number, default: 0 },
    maxAttempts: { type: Number, required: true },
    fence: { type: Number, default: 0 },
    progress: { type: Schema.Types.Mixed, default: null },
    lastError: { type: String, default: null },
    createdAt: { type: Date, required: true },
    finishedAt: { type: Date, default: null },
    requestId: String,
    traceparent: String,
  },
  { collection: "jobs", versionKey: false, minimize: false },
)
  .index({ status: 1, runAt: 1 })
  .index({ dedupeKey: 1 }, { unique: true, partialFilterExpression: { dedupeKey: { $exists: true } } })
  .index({ finishedAt: 1 });

/** The model of jobs on a connection. */
export const jobModel = modelOf("Job", schema);

/** Jobs of a state; see `stateOf`. */
const whereState = (state: JobState | undefined, now: Date): QueryFilter<JobDocument> => {
  const running = { attempts: { $gt: 0 }, lastError: null, runAt: { $gt: now } };
  if (state === "running") return { status: "waiting", ...running };
  if (state === "waiting") {
    const idle = [{ attempts: 0 }, { lastError: { $ne: null } }, { runAt: { $lte: now } }];
    return { status: "waiting", $or: idle };
  }
  return state === undefined ? {} : { status: state };
};

const documentOf = (job: NewJob, scope: Scope | undefined): JobDocument => ({
  _id: job.id,
  kind: job.kind,
  payload: job.payload,
  status: "waiting",
  runAt: job.runAt,
  attempts: 0,
  fence: 0,
  progress: null,
  lastError: null,
  createdAt: job.runAt,
  finishedAt: null,
  maxAttempts: job.maxAttempts ?? DEFAULT_MAX_ATTEMPTS,
  ...jobOrigin(scope),
  ...(job.dedupeKey === undefined ? {} : { dedupeKey: job.dedupeKey }),
});

/** Jobs in MongoDB's `jobs` collection. */
export const createMongoJobStore = (mongo: Mongo): GroupedJobStore<MongoTx> => {
  const Job = jobModel(mongo.connection);
  const held = ({ id, fence }: { id: string; fence: number }) => ({
    _id: id,
    fence,
    status: "waiting" as const,
  });

  return {
    async enqueue(job, tx) {
      if (tx) enqueuedIn.add(tx);
      // A duplicate key would abort the transaction around it, so what is there is asked for first.
      if (tx !== undefined && job.dedupeKey !== undefined) {
        if (await Job.exists({ dedupeKey: job.dedupeKey }).session(mongo.in(tx).session ?? null)) return;
      }
      try {
        // The driver's own: every field is set here, and a transaction pays for what Mongoose does around it.
        await Job.collection.insertOne(documentOf(job, currentScope()) as never, mongo.in(tx));
      } catch (error) {
        if (tx !== undefined || !duplicateKey(error)?.includes("dedupeKey")) throw error;
      }
    },

    async enqueueAll(jobs, tx) {
      if (jobs.length === 0) return;
      enqueuedIn.add(tx);
      const documents = jobs.map((job) => documentOf(job, job.scope));
      await Job.collection.insertMany(documents as never[], mongo.in(tx));
    },

    async lease(kinds, now, until) {
      // The driver's own, here and at the end: both are asked for each job.
      const row = (await Job.collection.findOneAndUpdate(
        { status: "waiting", runAt: { $lte: now }, kind: { $in: kinds } },
        { $inc: { fence: 1, attempts: 1 }, $set: { runAt: until, lastError: null } },
        { sort: { runAt: 1 }, returnDocument: "after", maxTimeMS: OPERATION_LIMIT },
      )) as unknown as JobDocument | null;
      return (
        row && {
          id: row._id,
          kind: row.kind,
          payload: row.payload as JsonValue,
          progress: row.progress as JsonValue,
          attempts: row.attempts,
          maxAttempts: row.maxAttempts,
          fence: row.fence,
          // Jobs of earlier versions lack them.
          requestId: row.requestId ?? null,
          traceparent: row.traceparent ?? null,
        }
      );
    },

    renew: async (job, until) =>
      (await Job.updateOne(held(job), { $set: { runAt: until } })).matchedCount === 1,

    saveProgress: async (job, progress) =>
      (await Job.updateOne(held(job), { $set: { progress } })).matchedCount === 1,

    async finish(job, end, now) {
      const set = {
        status: end.status,
        lastError: end.status === "done" ? null : end.error,
        ...(end.status === "waiting" ? { runAt: end.runAt, attempts: end.attempts } : { finishedAt: now }),
      };
      const ended = await Job.collection.updateOne(held(job) as object, { $set: set });
      return ended.matchedCount === 1;
    },

    async forget(kinds, before) {
      await Job.deleteMany({ kind: { $in: kinds }, status: "done", finishedAt: { $lt: before } });
    },

    async prune(before, limit) {
      const done = { status: "done" as const, finishedAt: { $lt: before } };
      const rows = await Job.find(done, { _id: 1 }).limit(limit).lean();
      const { deletedCount } = await Job.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) }, ...done });
      return deletedCount;
    },

    async list({ state, kind, limit }, now) {
      const rows = await Job.find({ ...whereState(state, now), ...(kind === undefined ? {} : { kind }) })
        .sort({ createdAt: -1, _id: -1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id, ...row }) => ({ id: _id, ...row }));
    },

    async retry(id, now, tx) {
      const idle = { $or: [{ status: "failed" as const }, { ...whereState("waiting", now) }] };
      const set = { status: "waiting" as const, attempts: 0, runAt: now, finishedAt: null };
      const { matchedCount } = await Job.updateOne(
        { _id: id, ...idle },
        { $set: set, $inc: { fence: 1 } },
        mongo.in(tx),
      );
      return matchedCount === 1;
    },

    async discard(id, now, tx) {
      const idle = [{ status: { $in: ["failed" as const, "done" as const] } }, whereState("waiting", now)];
      return (await Job.deleteOne({ _id: id, $or: idle }, mongo.in(tx))).deletedCount === 1;
    },

    async backlog(now) {
      const [oldest] = await Job.find({ status: "waiting", runAt: { $lte: now } }, { runAt: 1 })
        .sort({ runAt: 1 })
        .limit(1)
        .lean();
      return {
        waiting: await Job.countDocuments(whereState("waiting", now)),
        running: await Job.countDocuments(whereState("running", now)),
        failed: await Job.countDocuments({ status: "failed" }),
        oldestDue: oldest?.runAt ?? null,
      };
    },

    async find(id) {
      const row = await Job.findById(id).lean();
      return (
        row && {
          kind: row.kind,
          status: row.status,
          progress: row.progress as JsonValue,
          lastError: row.lastError,
        }
      );
    },
  };
};
