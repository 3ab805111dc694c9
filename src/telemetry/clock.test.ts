import { expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { createSharedClock, SECOND } from "../lib/clock";
import { keepTime } from "./clock";
import { createMetrics } from "./metrics";

const t = useTestApp();

/** What the log was told, and the measurements, after a comparison with the real databases. */
async function keeping(wallClock: () => number) {
  const said: unknown[] = [];
  const log = new Proxy(t.deps.log, {
    get: (logger, name, receiver) =>
      name === "warn" || name === "info"
        ? (fields: unknown) => said.push(fields)
        : Reflect.get(logger, name, receiver),
  });
  const metrics = createMetrics();
  const databases = { mysql: () => t.deps.mysql.now(), mongodb: () => t.deps.mongo.now() };
  const clock = createSharedClock(databases, wallClock);
  const stopping = new AbortController();
  stopping.abort();
  await keepTime({ metrics, log, stopping }, clock).looked;
  const series = (await metrics.text()).matchAll(/^aizy_clock_offset_seconds\{of="(\w+)"\} (\S+)$/gm);
  const ahead = Object.fromEntries([...series].map(([, of = "", value]) => [of, Number(value)]));
  return { clock, said, ahead };
}

test("a machine two minutes ahead of the databases' follows those, and says so", async () => {
  const { clock, said, ahead } = await keeping(() => Date.now() + 120 * SECOND);
  expect(Math.abs(clock.now().getTime() - Date.now())).toBeLessThan(2 * SECOND);
  expect(Math.abs((ahead.machine ?? 0) - 120)).toBeLessThan(2);
  expect(ahead).toMatchObject({ mysql: 0, mongodb: 0 });
  expect(said).toEqual([{ offsetMs: expect.objectContaining({ mysql: 0, mongodb: 0 }) }]);
});

test("a machine whose clock agrees with the databases' keeps its own, and says nothing", async () => {
  const { clock, said, ahead } = await keeping(Date.now);
  expect(Math.abs(clock.now().getTime() - Date.now())).toBeLessThan(SECOND);
  expect(ahead).toEqual({ machine: 0, mysql: 0, mongodb: 0 });
  expect(said).toEqual([]);
});
