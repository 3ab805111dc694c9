import type { MongoTx } from "../db/mongo";
import type { MySqlTx } from "../db/prisma";
import { enqueuedIn } from "../jobs/jobs";
import type { AuditDeps } from "./deps";
import type { AuditEntry } from "./entry";
import { auditJobOf } from "./jobs";

interface Transactions {
  mysql: MySqlTx;
  mongo: MongoTx;
}

/** What is written beside a change. */
export interface Beside<Tx, Data> {
  /** Made before, since the transaction may run again; left out where no person does it, as in a job. */
  audit?: AuditEntry | null;
  /** Records the answer of the idempotency key. */
  record?: (tx: Tx, data: Data) => Promise<void>;
}

/** What only the change itself knows of its entry. */
export interface EntryOfChange {
  /** Adds to its detail. */
  tell(detail: AuditEntry["detail"]): void;
  /** Says whose account it was done to. */
  about(userId: string): void;
  /** Leaves it out, because nothing changed. */
  omit(): void;
}

/**
 * A change of data: its transaction holds the change, its audit entry and the answer of the idempotency key, so that
 * none is there without the others. Jobs that it enqueued start at once.
 * @param work makes the change and gives what is answered; it may run again
 * @throws whatever `work` throws; nothing is written then
 * @example mutate(deps, "mysql", { audit, record }, async (tx) => toResponse(await deps.roles.create(role, tx)))
 * @example
 * mutate(deps, "mysql", { audit }, async (tx, { omit }) => {
 *   if (!(await deps.sessions.end(id, { reason, now }, tx))) omit();
 * })
 */
export async function mutate<Where extends keyof Transactions, Data>(
  deps: Pick<AuditDeps, "mysql" | "mongo" | "jobs" | "audit">,
  where: Where,
  { audit, record }: Beside<Transactions[Where], NoInfer<Data>>,
  work: (tx: Transactions[Where], entry: EntryOfChange) => Promise<Data>,
): Promise<Data> {
  type Tx = Transactions[Where];
  // Of the two databases' transactions TypeScript does not see that `where` picks the one of `Tx`.
  const database = deps[where] as unknown as { transaction(run: (tx: Tx) => Promise<Data>): Promise<Data> };
  let hasJobs = false;
  const data = await database.transaction(async (tx) => {
    let entry = audit ?? undefined;
    const made = await work(tx, {
      tell(more) {
        entry = entry && { ...entry, detail: { ...entry.detail, ...more } };
      },
      about(subjectUserId) {
        entry = entry && { ...entry, subjectUserId };
      },
      omit() {
        entry = undefined;
      },
    });
    if (entry && where === "mysql") await deps.audit.record(entry, tx as MySqlTx);
    else if (entry) await deps.jobs.mongo.enqueue(auditJobOf(entry), tx as MongoTx);
    await record?.(tx, made);
    hasJobs = enqueuedIn.has(tx);
    return made;
  });
  if (hasJobs) deps.jobs.wake();
  return data;
}
