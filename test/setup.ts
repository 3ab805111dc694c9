/**
 * Preload of every test run (bunfig.toml): starts or joins the local databases, or takes the given ones, and
 * gives this worker databases of its own beside them. With `--isolate` it runs again for each file, with the
 * environment as it was at first.
 */

import { afterAll } from "bun:test";
import { joinDatabases } from "../local/join";
import { dropLeftovers, dropOwn, openWorkerDatabases } from "./databases";

const joined = await joinDatabases();
Object.assign(process.env, joined.env);
const base = { databaseUrl: process.env.DATABASE_URL ?? "", mongodbUri: process.env.MONGODB_URI ?? "" };
await dropLeftovers(base);
const worker = await openWorkerDatabases(base);
// Nothing is left behind. Under `bin/test` Bun's parallel workers would run this after each of their files, so it
// drops the databases of all its workers itself.
if (!process.env.AIZY_TEST_WORKERS) afterAll(() => dropOwn(base), 60_000);

process.env.NODE_ENV = "test";
process.env.DATABASE_URL = worker.databaseUrl;
process.env.MONGODB_URI = worker.mongodbUri;
process.env.JWT_SECRET ||= "a secret of tests that is long enough for them";
process.env.DATA_KEY ||= `v1:${Buffer.from("a data key of tests, 32 bytes it").toString("base64")}`;
// Most tests are not about the cost of a hash; those that are set it.
process.env.PASSWORD_MEMORY ||= "64";
