import { expect, test } from "bun:test";
import fc from "fast-check";
import { ByteCache } from "./cache";

test("a cache keeps within its bytes, gives back what was put last, and spares what is asked for", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h"),
    bytes: fc.integer({ min: 1, max: 60 }),
    what: fc.constantFrom("put", "ask", "ask", "forget"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const cache = new ByteCache(100);
      const last = new Map<string, { value: number; bytes: number }>();
      for (const [value, { key, bytes, what }] of steps.entries()) {
        if (what === "put") {
          cache.set(key, value, bytes);
          last.set(key, { value, bytes });
        }
        if (what === "forget") {
          const there = () => [...last.keys()].filter((name) => cache.get(name) !== undefined);
          const before = there();
          cache.keepOnly((name) => name !== key);
          expect(there()).toEqual(before.filter((name) => name !== key));
        }
        const known = cache.get<number>(key);
        if (known !== undefined) expect(known).toBe(last.get(key)?.value as number);
        const kept = [...last].filter(([name]) => cache.get(name) !== undefined);
        expect(kept.reduce((sum, [, entry]) => sum + entry.bytes, 0)).toBeLessThanOrEqual(100);
      }
    }),
  );
  const cache = new ByteCache(100);
  cache.set("gone", 1, 95);
  cache.keepOnly((name) => name !== "gone");
  cache.set("often", 1, 10);
  for (let index = 0; index < 1000; index++) {
    expect(cache.get<number>("often")).toBe(1);
    cache.set(`once ${index}`, index, 10);
  }
  expect(cache.get("once 0")).toBeUndefined();
  expect(cache.get<number>("once 999")).toBe(999);
});
