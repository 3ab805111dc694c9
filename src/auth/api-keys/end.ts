import { type AuditActor, type AuditEntry, newAuditEntry } from "../../audit";
import type { MySqlTx } from "../../db/prisma";
import type { NewJob } from "../../jobs/jobs";
import type { NoticeKeys } from "../../mail";
import type { AuthDeps } from "../deps";
import { newNotice } from "../jobs";
import type { Origin } from "../origin";
import type { KeysAfterEnd } from "../schema";
import type { SessionEndReason } from "../sessions.store";

/** What is to become of a person's API keys when their sessions end: they are revoked, or go on working. */
export interface KeysEnd {
  userId: string;
  revoke: boolean;
  entry: AuditEntry;
  /** Tells the person, where nothing else does. */
  notice: (keys: NoticeKeys) => NewJob;
}

/**
 * Make it before the transaction that ends the sessions: that may run again.
 * @param told where from, as the mail says it
 */
export function newKeysEnd(
  deps: AuthDeps,
  userId: string,
  end: { revoke: boolean; actor: AuditActor; reason: SessionEndReason; origin: Origin; told?: Origin },
): KeysEnd {
  const { revoke, actor, reason, origin, told = origin } = end;
  const entry = newAuditEntry(deps, "api_key.revoked", {
    actor,
    subjectUserId: userId,
    origin,
    detail: { reason },
  });
  const jobId = deps.random.id();
  const notice = (keys: NoticeKeys) => newNotice("api_key_revoked", jobId, userId, told, entry.at, { keys });
  return { userId, revoke, entry, notice };
}

/**
 * Ends the keys, in the transaction that ends the sessions and after these, so that the person's row is locked.
 * @returns which were revoked, and which go on working
 */
export async function endKeys(
  deps: AuthDeps,
  { userId, revoke, entry }: KeysEnd,
  tx: MySqlTx,
): Promise<KeysAfterEnd> {
  const keys = await deps.apiKeys.working(userId, entry.at, tx);
  if (!revoke || keys.length === 0) return { revoked: [], working: keys };
  const keyIds = keys.map(({ id }) => id);
  await deps.apiKeys.revokeAll(keyIds, entry.at, tx);
  await deps.audit.record({ ...entry, detail: { ...entry.detail, keyIds } }, tx);
  return { revoked: keys, working: [] };
}

/** As `endKeys`, and tells the person when keys were revoked. @returns nothing of keys when there are none */
export async function endKeysAndTell(
  deps: AuthDeps,
  end: KeysEnd,
  tx: MySqlTx,
): Promise<{ apiKeys?: KeysAfterEnd }> {
  const apiKeys = await endKeys(deps, end, tx);
  if (apiKeys.revoked.length > 0) await deps.jobs.mysql.enqueue(end.notice(namesOf(apiKeys)), tx);
  return apiKeys.revoked.length + apiKeys.working.length === 0 ? {} : { apiKeys };
}

/** For the mail that says what became of the keys. */
export const namesOf = ({ revoked, working }: KeysAfterEnd): NoticeKeys => ({
  revoked: revoked.map(({ name }) => name),
  working: working.map(({ name }) => name),
});
