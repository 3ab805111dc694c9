/** One row of the fault table in the short run, so that its load and its ledger are tried each time. */
import { expect, test } from "bun:test";
import { canStart } from "../checkout";
import { missedBounds } from "./bounds";
import { FAULTS } from "./rows";
import { runFault } from "./run";
import { createWorld } from "./world";

test.skipIf(!canStart)(
  "MongoDB's database killed under load: nothing acknowledged is lost or doubled (needs root on Debian)",
  async () => {
    const fault = FAULTS.find(({ name }) => name === "mongodb-killed");
    if (!fault) throw new Error("the row is gone");
    const world = await createWorld();
    try {
      const outcome = await runFault(world, fault, "short", { before: 2, quiet: 1 });
      expect(outcome.calls.filter(({ status }) => status >= 200 && status < 300).length).toBeGreaterThan(50);
      const said = JSON.stringify([outcome.lost, outcome.doubled, outcome.mailsDoubled]);
      // How long something took fails no ordinary test.
      expect(missedBounds({ ...outcome, recovered: 0 }, { slow: true }), said).toEqual([]);
    } finally {
      await world.end();
    }
  },
  300_000,
);
