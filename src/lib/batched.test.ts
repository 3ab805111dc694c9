import { expect, test } from "bun:test";
import fc from "fast-check";
import { batched, type Outcome } from "./batched";

test("each call has its own outcome, and no more is under way than it should be", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ turns: fc.nat(3), kind: fc.constantFrom("ok", "refused", "spoils") }), {
        maxLength: 60,
      }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 5 }),
      async (calls, atOnce, most) => {
        let running = 0;
        const sizes: number[] = [];
        const seen: number[] = [];
        const call = batched<number, string>(
          async (items) => {
            expect(++running).toBeLessThanOrEqual(atOnce);
            sizes.push(items.length);
            seen.push(...items);
            await Bun.sleep(0);
            running--;
            const kinds = items.map((item) => calls[item]?.kind);
            if (kinds.includes("spoils")) throw new Error(`spoiled ${items}`);
            return items.map(
              (item, index): Outcome<string> =>
                kinds[index] === "ok"
                  ? { ok: true, value: `did ${item}` }
                  : { ok: false, error: new Error(`refused ${item}`) },
            );
          },
          { atOnce, most },
        );
        const outcomes = await Promise.all(
          calls.map(async ({ turns }, index) => {
            for (let turn = 0; turn < turns; turn++) await Bun.sleep(0);
            return call(index).catch((error: Error) => error.message);
          }),
        );
        expect(seen.toSorted((a, b) => a - b)).toEqual(calls.map((_, index) => index));
        expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(most);
        for (const [index, outcome] of outcomes.entries()) {
          const ofAll = outcome.startsWith("spoiled") && outcome.slice(8).split(",").includes(String(index));
          const own = calls[index]?.kind === "ok" ? `did ${index}` : `refused ${index}`;
          expect(ofAll || outcome === own).toBe(true);
          if (calls[index]?.kind === "spoils") expect(ofAll).toBe(true);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("a call that finds nobody goes at once; those that find others go together", async () => {
  const held = Promise.withResolvers<void>();
  const runs: number[][] = [];
  const call = batched<number, number>(
    async (items) => {
      runs.push(items);
      await held.promise;
      return items.map((value) => ({ ok: true, value }));
    },
    { atOnce: 1, most: 10 },
  );
  const first = call(1);
  expect(runs).toEqual([[1]]);
  const others = [2, 3, 4].map(call);
  held.resolve();
  expect(await Promise.all([first, ...others])).toEqual([1, 2, 3, 4]);
  expect(runs).toEqual([[1], [2, 3, 4]]);
});

test("a run that takes too long keeps nobody else waiting, and still answers its own", async () => {
  const held = Promise.withResolvers<void>();
  const call = batched<number, number>(
    async (items) => {
      if (items.includes(1)) await held.promise;
      return items.map((value) => ({ ok: true, value }));
    },
    { atOnce: 1, most: 10, patience: 20 },
  );
  const first = call(1);
  expect(await Promise.all([call(2), call(3)])).toEqual([2, 3]);
  expect(await call(4)).toBe(4);
  held.resolve();
  expect(await first).toBe(1);
});
