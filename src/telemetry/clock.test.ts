import { expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { createSharedClock, SECOND } from "../lib/clock";
import { keepTime } from "./clock";
import { createMetrics } from "./metrics";

const t = useTestApp();

/** What the log was told, and a measurement, after a comparison with the real MySQL. */
async function keeping(ofDay: () => number) {
  const said: unknown[] = [];
  const log = new Proxy(t.deps.log, {
    get: (logger, name, receiver) =>
      name === "warn" || name === "info"
        ? (fields: unknown) => said.push(fields)
        : Reflect.get(logger, name, receiver),
  });
  const metrics = createMetrics();
  const clock = createSharedClock(() => t.deps.mysql.now(), ofDay);
  await keepTime({ ...t.deps, metrics, log }, clock);
  const [, value] = /^aizy_clock_ahead_seconds\{.*\} (\S+)$/m.exec(await metrics.text()) ?? [];
  return { clock, said, ahead: Number(value) };
}

test("a machine two minutes ahead of MySQL's follows MySQL's, and says so", async () => {
  const { clock, said, ahead } = await keeping(() => Date.now() + 120 * SECOND);
  expect(Math.abs(clock.now().getTime() - Date.now())).toBeLessThan(2 * SECOND);
  expect(Math.abs(ahead - 120)).toBeLessThan(2);
  expect(said).toEqual([{ aheadSeconds: ahead }]);
});

test("a machine whose clock agrees with MySQL's keeps its own, and says nothing", async () => {
  const { clock, said, ahead } = await keeping(Date.now);
  expect(Math.abs(clock.now().getTime() - Date.now())).toBeLessThan(10);
  expect(ahead).toBe(0);
  expect(said).toEqual([]);
});
