import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createRandom } from "./random";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("ids", () => {
  test("are uuids of version 7 that hold the clock's time", () => {
    const time = Date.parse("2031-02-03T04:05:06.789Z");
    const id = createRandom({ now: () => new Date(time) }).id();
    expect(id).toMatch(UUID_V7);
    expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(time);
  });

  test("sort by the order they were made in, whatever the clock does", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5000, max: 5000 }), { minLength: 2, maxLength: 200 }),
        (steps) => {
          let time = Date.parse("2026-01-01T00:00:00Z");
          const random = createRandom({ now: () => new Date(time) });
          const ids = steps.map((step) => {
            time += step;
            return random.id();
          });
          expect(ids.every((id) => UUID_V7.test(id))).toBe(true);
          expect(ids.toSorted()).toEqual(ids);
          expect(new Set(ids).size).toBe(ids.length);
        },
      ),
    );
  });

  test("100,000 in one millisecond are different and in order; two processes' do not meet", () => {
    const clock = { now: () => new Date(1_800_000_000_000) };
    const [one, other] = [createRandom(clock), createRandom(clock)];
    const ids = Array.from({ length: 100_000 }, () => one.id());
    expect(ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? ""))).toBe(true);
    expect(new Set([...ids, ...ids.map(() => other.id())]).size).toBe(200_000);
  });
});
