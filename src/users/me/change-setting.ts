import { type AuditEntry, mutate, newAuditEntry, person } from "../../audit";
import type { Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { Actor } from "../../lib/actor";
import { accountGone } from "./account";
import type { AccountDeps } from "./deps";

/** Runs a change of a setting and its audit entry in one transaction. */
export async function changeSetting<Setting>(
  deps: AccountDeps,
  actor: Actor,
  { kind, fields, origin }: { kind: "preferences" | "notices"; fields: string[]; origin: Origin },
  work: (tx: MySqlTx) => Promise<Setting>,
  /** What else the audit log keeps of it. */
  more: () => AuditEntry["detail"] = () => ({}),
): Promise<Setting> {
  const audit = newAuditEntry(deps, `${kind}.changed`, {
    actor: person(actor.userId),
    origin,
  });
  return mutate(deps, "mysql", { audit }, async (tx, { tell }) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    const changed = await work(tx);
    tell({ fields, ...more() });
    return changed;
  });
}

export const withoutUndefined = <Value extends object>(value: Value): Value =>
  Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as Value;
