import { expect, test } from "bun:test";
import fc from "fast-check";
import { createSharedClock, SECOND } from "./clock";

/** A machine whose clock is set at will, and a database some milliseconds away. All in milliseconds. */
function world() {
  const it = { trueTime: 1_800_000_000_000, ahead: 0, wayThere: 0, wayBack: 0, databaseAhead: 0 };
  const began = it.trueTime;
  const ask = async () => {
    it.trueTime += it.wayThere;
    const answer = new Date(it.trueTime + it.databaseAhead);
    it.trueTime += it.wayBack;
    return answer;
  };
  const clock = createSharedClock(
    ask,
    () => it.trueTime + it.ahead,
    () => it.trueTime - began,
  );
  return { it, clock, error: () => clock.now().getTime() - it.trueTime };
}

test("is this machine's own, to the millisecond, while the database's is within a second", async () => {
  const { it, clock, error } = world();
  Object.assign(it, { ahead: 300, databaseAhead: -400 });
  expect(await clock.compare()).toBe(0);
  expect(error()).toBe(300);
});

test("is the database's, to half the way there and back, where this machine's is further away", () =>
  fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.integer({ min: -9e9, max: -3000 }), fc.integer({ min: 3000, max: 9e9 })),
      fc.integer({ min: -500, max: 500 }),
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 0, max: 500 }),
      async (ahead, databaseAhead, wayThere, wayBack) => {
        const { it, clock, error } = world();
        Object.assign(it, { ahead, databaseAhead, wayThere, wayBack });
        const half = (wayThere + wayBack) / 2;
        expect(Math.abs(((await clock.compare()) ?? 0) - (ahead - databaseAhead))).toBeLessThanOrEqual(half);
        expect(Math.abs(error() - databaseAhead)).toBeLessThanOrEqual(half);
        it.trueTime += 8000;
        expect(Math.abs(error() - databaseAhead)).toBeLessThanOrEqual(half);
      },
    ),
  ));

test("a clock that is set moves nothing until the next comparison, and then nothing either", async () => {
  const { it, clock, error } = world();
  await clock.compare();
  for (const ahead of [3600 * SECOND, -3600 * SECOND, 0]) {
    it.ahead = ahead;
    it.trueTime += 5000;
    expect(error()).toBe(0);
    expect(await clock.compare()).toBe(ahead);
    expect(error()).toBe(0);
  }
});

test("small steps of this machine's clock are followed at the next comparison", async () => {
  const { it, clock, error } = world();
  await clock.compare();
  it.ahead = 700;
  expect(error()).toBe(0);
  await clock.compare();
  expect(error()).toBe(700);
});

test("an answer that took over a second says nothing, and a database that does not answer neither", async () => {
  const { it, clock, error } = world();
  Object.assign(it, { databaseAhead: 60_000, wayBack: 1001 });
  expect(await clock.compare()).toBeUndefined();
  expect(error()).toBe(0);
  const alone = createSharedClock(() => Promise.reject(new Error("away")));
  await expect(alone.compare()).rejects.toThrow("away");
  expect(Math.abs(alone.now().getTime() - Date.now())).toBeLessThan(SECOND);
});
