import type { MySql, MySqlTx } from "../db/prisma";
import { duplicateIndex } from "../db/prisma";
import { Prisma } from "../generated/prisma/client";
import type { JsonValue } from "../lib/json";
import { jobOrigin } from "../telemetry/scope";
import { DEFAULT_MAX_ATTEMPTS, enqueuedIn, type JobState, type JobStore } from "./jobs";

/** How many due jobs are looked at before giving up on a lease: others may be taking the same ones. */
const CANDIDATES = 5;

/** Jobs of a state; see `stateOf`. */
const whereState = (state: JobState | undefined, now: Date): Prisma.JobWhereInput => {
  if (state === "running") {
    return { status: "waiting", attempts: { gt: 0 }, lastError: null, runAt: { gt: now } };
  }
  if (state === "waiting") {
    const idle = [{ attempts: 0 }, { lastError: { not: null } }, { runAt: { lte: now } }];
    return { status: "waiting", OR: idle };
  }
  return state === undefined ? {} : { status: state };
};

/** Jobs in MySQL's `jobs` table. */
export const createMySqlJobStore = (mysql: MySql): JobStore<MySqlTx> => ({
  async enqueue(job, tx) {
    if (tx) enqueuedIn.add(tx);
    try {
      await mysql.on(tx).job.create({
        data: {
          id: job.id,
          kind: job.kind,
          payload: job.payload ?? Prisma.JsonNull,
          runAt: job.runAt,
          createdAt: job.runAt,
          dedupeKey: job.dedupeKey,
          maxAttempts: job.maxAttempts ?? DEFAULT_MAX_ATTEMPTS,
          ...jobOrigin(),
        },
      });
    } catch (error) {
      // MySQL undoes only the refused statement, so the transaction around it goes on.
      if (duplicateIndex(error) !== "jobs_dedupe_key_key") throw error;
    }
  },

  async lease(kinds, now, until) {
    const candidates = await mysql.on().job.findMany({
      where: { status: "waiting", runAt: { lte: now }, kind: { in: kinds } },
      orderBy: { runAt: "asc" },
      take: CANDIDATES,
    });
    for (const row of candidates) {
      const { count } = await mysql.on().job.updateMany({
        where: { id: row.id, status: "waiting", fence: row.fence },
        data: { fence: { increment: 1 }, attempts: { increment: 1 }, runAt: until, lastError: null },
      });
      if (count === 1) {
        return {
          id: row.id,
          kind: row.kind,
          payload: row.payload as JsonValue,
          progress: row.progress as JsonValue,
          attempts: row.attempts + 1,
          maxAttempts: row.maxAttempts,
          fence: row.fence + 1,
          requestId: row.requestId,
          traceparent: row.traceparent,
        };
      }
    }
    return null;
  },

  async renew({ id, fence }, until) {
    const { count } = await mysql.on().job.updateMany({
      where: { id, fence, status: "waiting" },
      data: { runAt: until },
    });
    return count === 1;
  },

  async saveProgress({ id, fence }, progress) {
    const { count } = await mysql.on().job.updateMany({
      where: { id, fence, status: "waiting" },
      data: { progress: progress ?? Prisma.JsonNull },
    });
    return count === 1;
  },

  async finish({ id, fence }, end, now) {
    const { count } = await mysql.on().job.updateMany({
      where: { id, fence, status: "waiting" },
      data: {
        status: end.status,
        lastError: end.status === "done" ? null : end.error,
        ...(end.status === "waiting" ? { runAt: end.runAt, attempts: end.attempts } : { finishedAt: now }),
      },
    });
    return count === 1;
  },

  async forget(kinds, before) {
    await mysql
      .on()
      .job.deleteMany({ where: { kind: { in: kinds }, status: "done", finishedAt: { lt: before } } });
  },

  prune: (before, limit) => mysql.on().$executeRaw`
    DELETE FROM jobs WHERE finished_at < ${before} AND status = 'done' ORDER BY finished_at LIMIT ${limit}`,

  list: ({ state, kind, limit }, now) =>
    mysql.on().job.findMany({
      where: { ...whereState(state, now), ...(kind === undefined ? {} : { kind }) },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      take: limit,
      omit: { payload: true, progress: true },
    }),

  async retry(id, now, tx) {
    const { count } = await mysql.on(tx).job.updateMany({
      where: { id, OR: [{ status: "failed" }, whereState("waiting", now)] },
      data: { status: "waiting", attempts: 0, runAt: now, finishedAt: null, fence: { increment: 1 } },
    });
    return count === 1;
  },

  async discard(id, now, tx) {
    const idle = [{ status: { in: ["failed", "done"] } }, whereState("waiting", now)];
    return (await mysql.on(tx).job.deleteMany({ where: { id, OR: idle } })).count === 1;
  },

  async backlog(now) {
    const jobs = mysql.on().job;
    const oldest = await jobs.findFirst({
      where: { status: "waiting", runAt: { lte: now } },
      orderBy: { runAt: "asc" },
      select: { runAt: true },
    });
    return {
      waiting: await jobs.count({ where: whereState("waiting", now) }),
      running: await jobs.count({ where: whereState("running", now) }),
      failed: await jobs.count({ where: { status: "failed" } }),
      oldestDue: oldest?.runAt ?? null,
    };
  },

  async find(id) {
    const row = await mysql.on().job.findUnique({ where: { id } });
    return (
      row && {
        kind: row.kind,
        status: row.status,
        progress: row.progress as JsonValue,
        lastError: row.lastError,
      }
    );
  },
});
