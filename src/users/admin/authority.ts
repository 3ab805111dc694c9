import { type Beside, type EntryOfChange, mutate } from "../../audit";
import type { AuthDeps } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { Permission } from "../../lib/permissions";

/** Names of permissions, also of ones that only a newer release knows: those are held by nobody here. */
export type Held = ReadonlySet<string>;

/**
 * A change of what people may do, by `mutate`. Such changes come one after another, on every process, and what the
 * caller may is read again inside: whoever lost it a moment ago changes nothing more.
 * @throws AppError forbidden when the caller no longer holds `needed`, unauthenticated when they are gone
 */
export async function administer<T>(
  deps: AuthDeps,
  actor: Actor,
  needed: Permission[],
  beside: Beside<MySqlTx, NoInfer<T>>,
  work: (tx: MySqlTx, held: Held, entry: EntryOfChange) => Promise<T>,
): Promise<T> {
  return mutate(deps, "mysql", beside, async (tx, entry) => {
    await deps.roles.lockAdministration(tx);
    const caller = await deps.users.findById(actor.userId, tx);
    if (!caller || caller.bannedAt !== null || caller.deletedAt !== null) {
      throw new AppError("unauthenticated", "The account has changed. Sign in again.");
    }
    const now = new Set<string>(await deps.roles.permissionNamesOf(actor.userId, tx));
    // A server's key holds what it and its owner both may.
    const held =
      actor.kind === "user" ? now : new Set([...actor.permissions].filter((name) => now.has(name)));
    for (const permission of needed) {
      if (!held.has(permission)) throw new AppError("forbidden", `This needs the permission ${permission}.`);
    }
    return work(tx, held, entry);
  });
}

/** @throws AppError forbidden when what is granted or taken away holds more than the caller does */
export function demandAll(held: Held, names: Iterable<string>, whose: string): void {
  const beyond = [...names].filter((name) => !held.has(name)).sort();
  if (beyond.length > 0) {
    throw new AppError("forbidden", `${whose} holds what you do not: ${beyond.join(", ")}.`);
  }
}
