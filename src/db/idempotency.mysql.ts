import { Prisma } from "../generated/prisma/client";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import type { JsonValue } from "../lib/json";
import { type IdempotencyStore, type IdempotentRequest, KEEP_MS, LEASE_MS } from "./idempotency";
import { duplicateIndex, type MySql, type MySqlTx } from "./prisma";

/** As every store; MongoDB removes expired keys by itself, here somebody has to. */
export interface MySqlIdempotencyStore extends IdempotencyStore<MySqlTx> {
  /** Removes at most `limit` keys that have expired. @returns how many */
  prune(now: Date, limit: number): Promise<number>;
}

/** Idempotency keys of changes in MySQL. */
export const createMySqlIdempotencyStore = (mysql: MySql): MySqlIdempotencyStore => {
  const held = ({ callerId, key, leaseToken }: IdempotentRequest) => ({
    callerId,
    key,
    leaseToken,
    status: null,
  });
  return {
    async claim(request) {
      const { callerId, key, now } = request;
      const fresh = {
        requestHash: request.hash,
        leaseToken: request.leaseToken,
        leaseUntil: after(now, LEASE_MS),
        status: null,
        body: Prisma.DbNull,
        createdAt: now,
        expiresAt: after(now, KEEP_MS),
      };
      try {
        await mysql.on().idempotencyKey.create({ data: { callerId, key, ...fresh } });
        return { state: "claimed" };
      } catch (error) {
        if (duplicateIndex(error) === undefined) throw error;
      }
      const row = await mysql.on().idempotencyKey.findUnique({ where: { callerId_key: { callerId, key } } });
      // It was freed or expired in between: the caller may simply try again.
      if (!row) return { state: "in_flight" };
      if (row.expiresAt > now) {
        if (Buffer.compare(row.requestHash, request.hash) !== 0) return { state: "other_request" };
        if (row.status !== null)
          return { state: "done", answer: { status: row.status, body: row.body as JsonValue } };
        // Our own: the claim was written, its answer lost, and it was sent again.
        if (row.leaseToken === request.leaseToken) return { state: "claimed" };
        if (row.leaseUntil > now) return { state: "in_flight" };
      }
      const { count } = await mysql.on().idempotencyKey.updateMany({
        where: { callerId, key, leaseToken: { in: [row.leaseToken, request.leaseToken] } },
        data: fresh,
      });
      return { state: count === 1 ? "claimed" : "in_flight" };
    },

    async complete(request, answer, tx) {
      const { count } = await mysql.on(tx).idempotencyKey.updateMany({
        where: held(request),
        data: { status: answer.status, body: answer.body ?? Prisma.JsonNull },
      });
      if (count !== 1) {
        throw new AppError(
          "conflict",
          "The request took so long that another one took its Idempotency-Key over.",
        );
      }
    },

    async release(request) {
      await mysql.on().idempotencyKey.deleteMany({ where: held(request) });
    },

    prune: (now, limit) => mysql.on().$executeRaw`
      DELETE FROM idempotency_keys WHERE expires_at <= ${now} ORDER BY expires_at LIMIT ${limit}`,

    async forget(callerId) {
      await mysql.on().idempotencyKey.deleteMany({ where: { callerId } });
    },
  };
};
