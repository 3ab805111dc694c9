import { expect, test } from "bun:test";
import fc from "fast-check";
import { NumberMap } from "./number-map";

test("a map of numbers does what a Map does, also when keys meet at one place and when it grows", () => {
  // Few keys that lie behind one another, at both ends of what a key may be.
  const key = fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 0, max: 40 }).map((n) => 2 ** 53 - 1 - n),
    fc.integer({ min: 0, max: 40 }).map((n) => 1023 + n * 1024),
    fc.maxSafeNat(),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, fc.double({ noNaN: true })), { maxLength: 3000, size: "max" }),
      (pairs) => {
        const [ours, plain] = [new NumberMap(), new Map<number, number>()];
        for (const [name, value] of pairs) {
          expect(ours.get(name)).toBe(plain.get(name));
          ours.set(name, value);
          plain.set(name, value);
        }
        expect(ours.size).toBe(plain.size);
        for (const [name, value] of plain) expect(ours.get(name)).toBe(value);
      },
    ),
    { numRuns: 20 },
  );
});

test("a hundred thousand keys", () => {
  const ours = new NumberMap();
  const keyOf = (n: number) => (n * 2_654_435_761) % 2 ** 48;
  for (let n = 0; n < 100_000; n++) ours.set(keyOf(n), n);
  expect(ours.size).toBe(100_000);
  for (let n = 0; n < 100_000; n++) if (ours.get(keyOf(n)) !== n) throw new Error(`${n} is lost`);
  expect(ours.get(keyOf(100_000))).toBeUndefined();
});
