import type mongoose from "mongoose";

/** What the driver tells MongoDB of who connects. */
export const APP_NAME = "aizy";

/** What MongoDB tells of a connection, or of a transaction between two of its statements. */
interface Operation {
  type: string;
  /** The connection; of a transaction, that of its last statement. */
  connectionId?: unknown;
  appName?: string;
  lsid?: { id: unknown };
  transaction?: object;
}

/**
 * Ends transactions of this application's processes that are gone. To MongoDB a closed connection says nothing about
 * the transactions that it was used for: it keeps their locks until `transactionLifetimeLimitSeconds` (60 s), and whoever
 * wants the same documents is refused. A user sees and ends their own without further rights. On shards it does
 * nothing, because there the connections are the routers'.
 * @returns how many were ended
 */
export async function endAbandoned(client: mongoose.mongo.MongoClient): Promise<number> {
  const { topology } = client as unknown as { topology?: { description: { type: string } } };
  if (topology?.description.type === "Sharded") return 0;
  const admin = client.db("admin");
  const operations = await admin
    .aggregate<Operation>([{ $currentOp: { idleConnections: true, idleSessions: true } }])
    .toArray();
  const connected = new Set<string>();
  for (const { type, connectionId } of operations) if (type === "op") connected.add(String(connectionId));
  const abandoned = operations.flatMap(({ type, connectionId, appName, lsid, transaction }) =>
    type === "idleSession" &&
    transaction !== undefined &&
    appName === APP_NAME &&
    connectionId !== undefined &&
    !connected.has(String(connectionId)) &&
    lsid !== undefined
      ? [{ id: lsid.id }]
      : [],
  );
  // An empty list would mean each of this user's sessions.
  if (abandoned.length > 0) await admin.command({ killSessions: abandoned });
  return abandoned.length;
}
