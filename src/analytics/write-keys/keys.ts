import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { AnalyticsDeps } from "../deps";
import type { WriteKeyDocument } from "../model";
import type { CreateWriteKey, WriteKeyResponse } from "./schema";

/** Keys that are good at one time, and keys that a list shows. */
const MAX_KEYS = 100;
const SHOWN = 1000;

const toWriteKey = (key: WriteKeyDocument): WriteKeyResponse => ({
  key: key._id,
  name: key.name,
  origins: key.origins,
  createdAt: key.createdAt.toISOString(),
  revokedAt: key.revokedAt?.toISOString() ?? null,
});

/** Whether a text has the form of a write key; an API key has another. */
export const isWriteKey = (text: string): boolean => /^wk_[A-Za-z0-9_-]{22}$/.test(text);

/** @throws AppError conflict when there are as many as there may be */
export async function createWriteKey(
  deps: AnalyticsDeps,
  actor: Actor,
  { name, origins }: CreateWriteKey,
  record: RecordAnswer<MongoTx>,
): Promise<WriteKeyResponse> {
  if ((await deps.analytics.writeKeys.count()) >= MAX_KEYS) {
    throw new AppError("conflict", `There are ${MAX_KEYS} write keys already. Revoke one first.`);
  }
  const key: WriteKeyDocument = {
    _id: `wk_${Buffer.from(deps.random.bytes(16)).toString("base64url")}`,
    name,
    origins: [...new Set(origins)],
    createdAt: deps.clock.now(),
    createdBy: actor.userId,
    revokedAt: null,
  };
  const response = toWriteKey(key);
  await deps.mongo.transaction(async (tx) => {
    await deps.analytics.writeKeys.create(key, tx);
    await record(tx, response);
  });
  return response;
}

export const listWriteKeys = async (deps: AnalyticsDeps): Promise<WriteKeyResponse[]> =>
  (await deps.analytics.writeKeys.list(SHOWN)).map(toWriteKey);

/** Ends a key for good. @throws AppError not_found */
export async function revokeWriteKey(deps: AnalyticsDeps, key: string): Promise<void> {
  if (!(await deps.analytics.writeKeys.revoke(key, deps.clock.now()))) {
    throw new AppError("not_found", "There is no such write key.");
  }
}
