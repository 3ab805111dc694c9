/**
 * A process that brings sessions and rollups up to the events and ends: for tests of several at once. With `halt` it
 * stands still once it has made sessions, before any rollup, to be killed there.
 */
import { settle } from "../../src/analytics/settle";
import { parseConfig } from "../../src/config";
import { silentLogger } from "../../src/telemetry/log";
import { createDeps } from "../../src/wire";
import { around } from "../interleave";

const deps = createDeps(parseConfig(process.env), silentLogger());
await deps.mongo.connection.asPromise();
console.log("settling");
if (process.argv.includes("halt")) {
  around(deps.analytics.rollups, "marks", {
    before: () => {
      console.log("sessions made");
      return new Promise(() => setInterval(() => undefined, 60_000));
    },
  });
}
await settle(deps);
// The pool of MySQL that nobody used would keep the process for a while.
process.exit(0);
