import { type Manager, managedEntry, mutate } from "../../audit";
import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
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

/** @throws AppError conflict when there are as many as there may be */
export async function createWriteKey(
  deps: AnalyticsDeps,
  manager: Manager,
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
    createdBy: manager.actor.userId,
    revokedAt: null,
  };
  const response = toWriteKey(key);
  const detail = { key: key._id, name, origins: key.origins };
  const audit = managedEntry(deps, manager, "write_key.created", detail);
  return mutate(deps, "mongo", { audit, record }, async (tx) => {
    await deps.analytics.writeKeys.create(key, tx);
    return response;
  });
}

export const listWriteKeys = async (deps: AnalyticsDeps): Promise<WriteKeyResponse[]> =>
  (await deps.analytics.writeKeys.list(SHOWN)).map(toWriteKey);

/** Ends a key for good; one that was revoked before stays as it is. @throws AppError not_found */
export async function revokeWriteKey(deps: AnalyticsDeps, manager: Manager, id: string): Promise<void> {
  const key = await deps.analytics.writeKeys.find(id);
  if (key === null) throw new AppError("not_found", "There is no such write key.");
  const audit = managedEntry(deps, manager, "write_key.revoked", { key: id, name: key.name });
  await mutate(deps, "mongo", { audit }, async (tx, { omit }) => {
    if (!(await deps.analytics.writeKeys.revoke(id, audit.at, tx))) omit();
  });
}
