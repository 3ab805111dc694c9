import { expect, test } from "bun:test";
import fc from "fast-check";
import type { JsonValue } from "./json";
import { nextPage, type Seen, type Stretch } from "./paging";

/** A stretch over rows in memory; `looked` counts what it was asked for. */
const over = (rows: Seen[], filtered: boolean, looked: { count: number }): Stretch<Seen> => ({
  filtered,
  walk: async (after, limit) => {
    const at = after === undefined ? 0 : rows.findIndex(({ id }) => id === after.id) + 1;
    const part = rows.slice(at, at + limit);
    looked.count += part.length;
    return part;
  },
});

test("pages hold every hit once and in order, and none looks at more than the window", async () => {
  const stretch = fc.record({ hits: fc.array(fc.boolean(), { maxLength: 40 }), filtered: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(stretch, { maxLength: 3 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 8, max: 20 }),
      async (lists, limit, window) => {
        const looked = { count: 0 };
        const rows = lists.map(({ hits, filtered }, list) =>
          hits.map((hit, n) => ({ id: `${list}-${n}`, key: String(n), hit: hit || !filtered })),
        );
        const stretches = rows.map((part, index) => over(part, lists[index]?.filtered ?? false, looked));
        const got: string[] = [];
        let from: JsonValue[] | undefined;
        for (;;) {
          looked.count = 0;
          const page = await nextPage(stretches, { limit, from, window });
          expect(looked.count).toBeLessThanOrEqual(window);
          expect(page.rows.length).toBeLessThanOrEqual(limit);
          got.push(...page.rows.map(({ id }) => id));
          if (page.next === null) break;
          // Always further, so that a client comes to the end.
          expect(page.next).not.toEqual(from ?? []);
          from = page.next;
        }
        expect(got).toEqual(rows.flat().flatMap(({ id, hit }) => (hit ? [id] : [])));
      },
    ),
    { numRuns: 500 },
  );
});
