import { expect, test } from "bun:test";
import fc from "fast-check";
import { createSharedClock, SECOND } from "./clock";

/** Clocks of a machine and of two databases, by how far each is ahead of the true time, and ways between them. */
function world(names = ["mysql", "mongodb"]) {
  const it = {
    trueTime: 1_800_000_000_000,
    ahead: 0,
    databases: [0, 0],
    wayThere: 0,
    wayBack: 0,
    silent: [] as number[],
  };
  const began = it.trueTime;
  const asks = names.map((name, index) => {
    const ask = async () => {
      if (it.silent.includes(index)) throw new Error("away");
      // Both are asked at once, so that only the first has a way to go.
      if (index === 0) it.trueTime += it.wayThere;
      const answer = new Date(it.trueTime + (it.databases[index] ?? 0));
      if (index === 0) it.trueTime += it.wayBack;
      return answer;
    };
    return [name, ask];
  });
  const clock = createSharedClock(
    Object.fromEntries(asks),
    () => it.trueTime + it.ahead,
    () => it.trueTime - began,
  );
  return { it, clock, error: () => clock.now().getTime() - it.trueTime };
}

test("is this machine's own, to the millisecond, while the databases' are within a second", async () => {
  const { it, clock, error } = world();
  Object.assign(it, { ahead: 300, databases: [-400, -600] });
  expect(await clock.compare()).toEqual({ machine: 0, mysql: 0, mongodb: 0 });
  expect(error()).toBe(300);
});

const wrong = fc.oneof(fc.integer({ min: -9e9, max: -3000 }), fc.integer({ min: 3000, max: 9e9 }));
const slight = fc.integer({ min: -200, max: 200 });

test("one clock of three that is wrong moves nobody, and is named", () =>
  fc.assert(
    fc.asyncProperty(wrong, fc.constantFrom(0, 1, 2), slight, slight, async (far, which, one, other) => {
      const offsets = [one, other];
      offsets.splice(which, 0, far);
      const [ahead = 0, ...databases] = offsets;
      const { it, clock, error } = world();
      Object.assign(it, { ahead, databases });
      const found = Object.values((await clock.compare()) ?? {});
      expect(found.map((difference) => difference !== 0)).toEqual([0, 1, 2].map((place) => place === which));
      expect(Math.abs(error())).toBeLessThanOrEqual(200);
      it.trueTime += 8000;
      expect(Math.abs(error())).toBeLessThanOrEqual(200);
    }),
  ));

test("what a database said last counts while it does not answer, so that the other's wrong clock moves nobody", async () => {
  const { it, clock, error } = world();
  Object.assign(it, { databases: [3600 * SECOND, 0] });
  await clock.compare();
  expect(error()).toBe(0);
  it.silent = [1];
  for (let look = 0; look < 5; look++) {
    it.trueTime += 10 * SECOND;
    expect(await clock.compare()).toEqual({ machine: 0, mysql: 3600 * SECOND, mongodb: 0 });
    expect(error()).toBe(0);
  }
});

test("a clock about a second off is not taken up and given up again and again", async () => {
  const { it, clock } = world();
  const used: boolean[] = [];
  for (const ahead of [990, 1010, 990, 1030, 600, 990, 400, 990, 1010]) {
    it.ahead = ahead;
    await clock.compare();
    used.push(clock.now().getTime() - it.trueTime === ahead);
  }
  expect(used).toEqual([true, false, false, false, false, false, true, true, false]);
});

test("processes on any machines agree within two seconds, whatever one database's clock says", () =>
  fc.assert(
    fc.asyncProperty(wrong, wrong, async (machine, database) => {
      const errors = await Promise.all(
        [0, machine].map(async (ahead) => {
          const { it, clock, error } = world(["mysql"]);
          Object.assign(it, { ahead, databases: [database] });
          await clock.compare();
          return error();
        }),
      );
      expect(Math.abs((errors[0] ?? 0) - (errors[1] ?? 0))).toBeLessThanOrEqual(2 * SECOND);
    }),
  ));

test("is a database's to half the way there and back", () =>
  fc.assert(
    fc.asyncProperty(
      wrong,
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 0, max: 500 }),
      async (ahead, wayThere, wayBack) => {
        const { it, clock, error } = world(["mysql"]);
        Object.assign(it, { ahead, wayThere, wayBack });
        // A date has whole milliseconds.
        const half = (wayThere + wayBack) / 2 + 0.5;
        expect(Math.abs(((await clock.compare())?.machine ?? 0) - ahead)).toBeLessThanOrEqual(half);
        expect(Math.abs(error())).toBeLessThanOrEqual(half);
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
    expect((await clock.compare())?.machine).toBe(ahead);
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

test("an answer that took over a second says nothing, and databases that do not answer neither", async () => {
  const { it, clock, error } = world(["mysql"]);
  Object.assign(it, { databases: [60_000], wayBack: 1001 });
  expect(await clock.compare()).toBeUndefined();
  expect(error()).toBe(0);
  const away = () => Promise.reject(new Error("away"));
  const alone = createSharedClock({ mysql: away, mongodb: away });
  expect(await alone.compare()).toBeUndefined();
  expect(Math.abs(alone.now().getTime() - Date.now())).toBeLessThan(SECOND);
  const one = createSharedClock({ mysql: away, mongodb: async () => new Date(Date.now() + 60_000) });
  expect(await one.compare()).toMatchObject({ mongodb: 0 });
  expect(Math.abs(one.now().getTime() - Date.now() - 60_000)).toBeLessThan(SECOND);
});
