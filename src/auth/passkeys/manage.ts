import { mutate } from "../../audit";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { ExpectedVersions } from "../../lib/versions";
import type { AuthDeps } from "../deps";
import { changeSignIn } from "../mfa/change-sign-in";
import type { Origin } from "../origin";
import type { PasskeyResponse } from "./schema";
import type { PasskeyRow } from "./store";

export const toPasskey = (row: PasskeyRow): PasskeyResponse => ({
  id: row.id,
  name: row.name,
  synced: row.synced,
  aaguid: row.aaguid,
  version: row.version,
  createdAt: row.createdAt.toISOString(),
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
});

/** A person's passkeys, the newest first, without keys; also for the export of their data. */
export const listPasskeys = async (deps: AuthDeps, userId: string): Promise<PasskeyResponse[]> =>
  (await deps.passkeys.ofUser(userId)).map(toPasskey);

const noPasskey = () => new AppError("not_found", "You have no such passkey.");

/**
 * Gives one of the caller's passkeys another name.
 * @param expected from If-Match
 * @throws AppError not_found, precondition_failed
 */
export async function renamePasskey(
  deps: AuthDeps,
  actor: Actor,
  id: string,
  { name }: { name: string },
  expected: ExpectedVersions,
): Promise<PasskeyResponse> {
  return mutate(deps, "mysql", {}, async (tx) => {
    const renamed = await deps.passkeys.rename(id, actor.userId, name, expected, tx);
    const row = await deps.passkeys.find(id, actor.userId, tx);
    if (!row) throw noPasskey();
    if (!renamed) {
      throw new AppError("precondition_failed", "The passkey has changed since you read it. Read it again.", {
        members: { currentVersion: row.version },
      });
    }
    return toPasskey(row);
  });
}

/**
 * Takes one of the caller's passkeys away. It asks for no proof: whoever lost a phone should be quick.
 * @throws AppError not_found; conflict when they could not sign in without it
 */
export async function removePasskey(deps: AuthDeps, actor: Actor, id: string, origin: Origin): Promise<void> {
  const act = { action: "passkey.removed", detail: { passkeyId: id } } as const;
  await changeSignIn(deps, actor, origin, act, async (tx, _now, { hashedPassword }) => {
    const own = await deps.passkeys.ofUser(actor.userId, tx);
    if (!(await deps.passkeys.remove(id, actor.userId, tx))) throw noPasskey();
    if (own.length === 1 && hashedPassword === null) {
      throw new AppError("conflict", "You have no password: without this passkey you could not sign in.");
    }
  });
}
