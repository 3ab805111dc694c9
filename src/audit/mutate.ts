import type { MongoTx } from "../db/mongo";
import type { MySqlTx } from "../db/prisma";
import type { RecordAnswer } from "../http/idempotency";
import type { AuditDeps } from "./deps";
import type { AuditEntry } from "./entry";
import { auditJobOf } from "./jobs";

interface Transactions {
  mysql: MySqlTx;
  mongo: MongoTx;
}

/** How an entry comes into the log from a transaction of each database. */
const write: {
  [Where in keyof Transactions]: (
    deps: AuditDeps,
    entry: AuditEntry,
    tx: Transactions[Where],
  ) => Promise<unknown>;
} = {
  mysql: (deps, entry, tx) => deps.audit.record(entry, tx),
  mongo: (deps, entry, tx) => deps.jobs.mongo.enqueue(auditJobOf(entry), tx),
};

/**
 * A change of data: its transaction holds the change, its audit entry and the answer of the idempotency key, so that
 * none is there without the others. Jobs that it enqueued start at once.
 * @param audit made before, since the transaction may run again
 * @param work makes the change and gives what is answered; `tell` adds to the entry's detail what only it knows
 * @throws whatever `work` throws; nothing is written then
 * @example mutate(deps, "mysql", { audit, record }, async (tx) => toResponse(await deps.roles.create(role, tx)))
 */
export async function mutate<Where extends keyof Transactions, Data>(
  deps: AuditDeps,
  where: Where,
  { audit, record }: { audit: AuditEntry; record?: RecordAnswer<Transactions[Where]> },
  work: (tx: Transactions[Where], tell: (detail: AuditEntry["detail"]) => void) => Promise<Data>,
): Promise<Data> {
  type Tx = Transactions[Where];
  // Of the two databases' transactions TypeScript does not see that `where` picks the one of `Tx`.
  const database = deps[where] as unknown as { transaction(run: (tx: Tx) => Promise<Data>): Promise<Data> };
  const data = await database.transaction(async (tx) => {
    let { detail } = audit;
    const made = await work(tx, (more) => {
      detail = { ...detail, ...more };
    });
    await write[where](deps, { ...audit, detail }, tx);
    await record?.(tx, made as object);
    return made;
  });
  deps.jobs.wake();
  return data;
}
