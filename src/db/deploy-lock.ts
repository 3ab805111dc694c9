import { createHash } from "node:crypto";
import type mariadb from "mariadb";
import { mysqlOptions, withConnection } from "./prisma";

/** How long it is waited before that is said, and between two lines about it, in seconds. */
const [FIRST_LINE, NEXT_LINE] = [2, 15];

/** How long an idle connection is kept, in seconds: the most that every MySQL takes, 24 days. */
const IDLE_SECONDS = 2_147_483;

/** How somebody waits for the lock. */
export interface Wait {
  /** Seconds; without them as long as whoever has the lock lives, which MySQL notices. */
  atMost?: number;
  /** Told now and then what it is waited for. */
  say?: (line: string) => void;
}

/**
 * Runs a step of the deployment, migrations, seed, backup or restore, while no other process runs one on this database.
 * It covers MongoDB too: whoever works there for the deployment holds it.
 * @param work is given the connection that holds the lock
 * @throws Error when it was waited for longer than `atMost`
 */
export const withDeployLock = <T>(
  databaseUrl: string,
  work: (connection: mariadb.Connection) => Promise<T>,
  { atMost = Number.POSITIVE_INFINITY, say = console.error }: Wait = {},
): Promise<T> =>
  withConnection(databaseUrl, async (connection) => {
    // A named lock is of the whole server; the database's name makes it ours alone. 64 characters at most.
    const lock = `aizy_migrate_${createHash("sha256")
      .update(mysqlOptions(databaseUrl).database ?? "")
      .digest("hex")
      .slice(0, 32)}`;
    // MySQL gives the lock to others when it ends a connection that says nothing while MongoDB is worked on.
    await connection.query("SET SESSION wait_timeout = ?", [IDLE_SECONDS]);
    for (let waited = 0; ; ) {
      const seconds = Math.min(waited === 0 ? FIRST_LINE : NEXT_LINE, atMost - waited);
      const [row] = await connection.query<{ got: bigint | number | null; holder: bigint | number | null }[]>(
        "SELECT GET_LOCK(?, ?) AS got, IS_USED_LOCK(?) AS holder",
        [lock, seconds, lock],
      );
      if (Number(row?.got) === 1) return work(connection);
      waited += seconds;
      const who = `another backup, restore, migration, seed or import (MySQL's connection ${row?.holder ?? "is not known"})`;
      if (waited >= atMost)
        throw new Error(
          `Nothing was done: ${who} has worked on this database for ${waited} s. Start again later.`,
        );
      say(`Waiting since ${waited} s for ${who}. It goes on by itself when that has ended.`);
    }
  });
