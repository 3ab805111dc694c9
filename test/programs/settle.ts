/** A process that brings sessions and rollups up to the events and ends: for tests of several at once. */
import { settle } from "../../src/analytics/settle";
import { parseConfig } from "../../src/config";
import { createDeps } from "../../src/deps";
import { silentLogger } from "../../src/http/log";

const deps = createDeps(parseConfig(process.env), silentLogger());
await deps.mongo.connection.asPromise();
console.log("settling");
await settle(deps);
// The pool of MySQL that nobody used would keep the process for a while.
process.exit(0);
