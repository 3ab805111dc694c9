import { mutate, newAuditEntry, person } from "../audit";
import type { MySqlTx } from "../db/prisma";
import type { AppError } from "../lib/errors";
import type { UserRow } from "../users";
import { endKeys, namesOf, newKeysEnd } from "./api-keys/end";
import { signedInDevice } from "./check-password";
import type { AuthDeps } from "./deps";
import { forgiveFailures } from "./forgive-failures";
import { requesterOf } from "./hash-queue";
import { newNotice } from "./jobs";
import type { Origin } from "./origin";
import { refuseObviousPassword } from "./register";

/** What a new password comes with. */
export interface Replacement {
  password: string;
  /** The field of the request that holds it. */
  field: string;
  why: "password_reset" | "password_changed";
  revokeApiKeys: boolean;
  forgetDevices: boolean;
  /** The device that asks, when it is a known one. */
  deviceId: string | null;
  /** The session that goes on; its device stays known. */
  session?: string;
  /** The hash that must still be the account's. */
  from?: string;
  /** Runs first in the transaction, such as to use a link up. */
  before?: (tx: MySqlTx, now: Date) => Promise<void>;
  /** When the account changed meanwhile. */
  refuse: () => AppError;
}

const ACTIONS = { password_reset: "password.reset", password_changed: "password.changed" } as const;
const VERBS = { password_reset: "reset", password_changed: "changed" } as const;

/**
 * Gives an account another password. Every session but one ends, every mailed link dies, API keys are revoked and
 * devices forgotten where that is wanted, failed sign-ins of this place are forgiven, and the owner is told by mail.
 */
export async function replacePassword(
  deps: AuthDeps,
  user: UserRow,
  replacement: Replacement,
  origin: Origin,
): Promise<void> {
  const { why, deviceId, session, from, forgetDevices, before, refuse } = replacement;
  refuseObviousPassword(replacement.password, user.email, user.name, replacement.field);
  const hashedPassword = await deps.passwords.hash(
    replacement.password,
    requesterOf(origin.ip, session === undefined ? deviceId : signedInDevice(user.id)),
  );
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const actor = person(user.id);
  const detail: Record<string, boolean> = forgetDevices ? { forgetDevices } : {};
  const audit = newAuditEntry(deps, ACTIONS[why], { actor, origin, detail });
  const keysEnd = newKeysEnd(deps, user.id, {
    revoke: replacement.revokeApiKeys,
    actor,
    reason: why,
    origin,
  });
  const end = {
    reason: why,
    detail: `the password was ${VERBS[why]}, from ${origin.ip}`,
    now,
    ...(session === undefined ? {} : { except: session }),
  };
  await mutate(deps, "mysql", { audit }, async (tx) => {
    await before?.(tx, now);
    const change = { hashedPassword, now, ...(from === undefined ? {} : { from }) };
    if (!(await deps.users.setPassword(user.id, change, tx))) throw refuse();
    await deps.codes.endAll(user.id, "reset_password", now, tx);
    await deps.sessions.endAll(user.id, end, tx);
    if (forgetDevices) {
      await deps.devices.forget(user.id, { except: session === undefined ? null : deviceId, now }, tx);
    }
    const keys = namesOf(await endKeys(deps, keysEnd, tx));
    await deps.jobs.mysql.enqueue(newNotice(why, jobId, user.id, origin, now, { keys }), tx);
  });
  await forgiveFailures(deps, user, origin, { deviceId, proof: "mailbox" });
}
