/** What the application needs of its databases, said before the first request fails for the lack of it. */
import type { Connection } from "mongoose";

/** A database cannot be used; the message says what to do. */
export class DatabaseUnusable extends Error {
  override readonly name = "DatabaseUnusable";
}

/** Longest time that a killed process may keep its locks in MongoDB before that is worth a warning, in seconds. */
const LONGEST_LOCKS = 10;

/**
 * Why a MySQL of this version is not enough, or undefined when it is.
 * @param version as `SELECT VERSION()` gives it
 * @example mysqlProblem("10.11.6-MariaDB") // "is MariaDB; …"
 */
export function mysqlProblem(version: string): string | undefined {
  if (/mariadb/i.test(version)) return `is MariaDB (${version}); the application needs MySQL 8.4 or newer`;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 8 || (major === 8 && minor >= 4)) return undefined;
  return `is version ${version}; the application needs MySQL 8.4 or newer`;
}

/**
 * Why a MongoDB is not enough, or undefined when it is.
 * @param hello its answer to `hello`: a member of a replica set has a `setName`, a router of shards says "isdbgrid"
 * @param version as `buildInfo` gives it
 */
export function mongoProblem(hello: { setName?: string; msg?: string }, version: string): string | undefined {
  if (Number.parseInt(version, 10) < 7)
    return `is version ${version}; the application needs MongoDB 7 or newer`;
  if (hello.setName === undefined && hello.msg !== "isdbgrid")
    return "is no member of a replica set, which transactions need: start mongod with --replSet rs0 and run rs.initiate() once";
  return undefined;
}

/**
 * What is worth changing about how long MongoDB lets transactions live, or undefined. There a process that is killed in
 * a transaction keeps its locks until this time is over, and who wants the same documents is refused.
 * @param seconds `transactionLifetimeLimitSeconds`; undefined where this user may not read it
 */
export const lifetimeAdvice = (seconds: number | undefined): string | undefined =>
  seconds === undefined || seconds <= LONGEST_LOCKS
    ? undefined
    : `MongoDB keeps the locks of a killed process for ${seconds} s. Set transactionLifetimeLimitSeconds to 5 ` +
      "(mongod --setParameter transactionLifetimeLimitSeconds=5); no transaction here takes longer.";

/**
 * Looks at the MongoDB behind an open connection.
 * @returns advice, where something can be better
 * @throws DatabaseUnusable when it cannot be used
 */
export async function checkMongo(connection: Connection): Promise<string | undefined> {
  const admin = connection.getClient().db("admin");
  const [hello, { version }, lifetime] = await Promise.all([
    admin.command({ hello: 1 }),
    admin.command({ buildInfo: 1 }),
    // Only administrators may read it on a server with access control.
    admin.command({ getParameter: 1, transactionLifetimeLimitSeconds: 1 }).catch(() => ({})),
  ]);
  const problem = mongoProblem(hello, version);
  if (problem !== undefined) throw new DatabaseUnusable(`The server of MONGODB_URI ${problem}.`);
  return lifetimeAdvice(
    (lifetime as { transactionLifetimeLimitSeconds?: number }).transactionLifetimeLimitSeconds,
  );
}
