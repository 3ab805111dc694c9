import { createHash } from "node:crypto";
import type mariadb from "mariadb";
import { mysqlOptions, withConnection } from "./prisma";

/** Longest wait for another process's deploy step, in seconds. */
const LOCK_SECONDS = 60;

/**
 * Runs a step of the deployment, migrations or seed, while no other process runs one on this database.
 * @throws Error when another has held the lock for a minute
 */
export const withDeployLock = <T>(
  databaseUrl: string,
  work: (connection: mariadb.Connection) => Promise<T>,
): Promise<T> =>
  withConnection(databaseUrl, async (connection) => {
    // A named lock is of the whole server; the database's name makes it ours alone. 64 characters at most.
    const lock = `aizy_migrate_${createHash("sha256")
      .update(mysqlOptions(databaseUrl).database ?? "")
      .digest("hex")
      .slice(0, 32)}`;
    const [row] = await connection.query<{ got: bigint | number | null }[]>("SELECT GET_LOCK(?, ?) AS got", [
      lock,
      LOCK_SECONDS,
    ]);
    if (Number(row?.got) !== 1) {
      throw new Error(
        `Another process has been migrating or seeding for ${LOCK_SECONDS} s. Wait for it and start again.`,
      );
    }
    return work(connection);
  });
