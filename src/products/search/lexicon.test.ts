import { expect, test } from "bun:test";
import fc from "fast-check";
import { useTestApp } from "../../../test/app";
import type { WordUse } from "./analyse";
import { WordCache } from "./lexicon";
import { createWordStore } from "./words.store";

const t = useTestApp();

const USES: Record<string, WordUse> = {
  named: { made: false, named: true, behindNumber: false },
  described: { made: false, named: false, behindNumber: false },
  made: { made: true, named: true, behindNumber: false },
};
/** Close to each other, so that they are beginnings, forms and mistypings of one another. */
const WORDS = [
  "lamp",
  "lamps",
  "lamb",
  "lampe",
  "clamp",
  "lampshade",
  "lampshades",
  "straße",
  "strasse",
  "glühlampe",
];
const word = fc.constantFrom(...WORDS);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      // Of two processes.
      by: fc.nat(1),
      add: fc.dictionary(word, fc.constantFrom("named", "described", "made"), { minKeys: 1, maxKeys: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ remove: word }) },
  // An older release, beside this one, names no words.
  { weight: 1, arbitrary: fc.record({ unnamed: word }) },
);

test("what is kept of words answers as the database does, however they change", async () => {
  const { words: own, segments } = t.deps.searchIndex;
  const stores = [own, createWordStore(t.deps.mongo)];
  const collection = t.deps.mongo.connection.collection("search_words");
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.boolean()), { minLength: 1, maxLength: 12 }),
      async (steps) => {
        await own.remove(WORDS);
        const cache = new WordCache(100_000);
        const answers = async (lexicon: typeof own.lexicon) => {
          const sorted = (list: { surface: string; named: number }[]) =>
            [...new Set(list.map(({ surface, named }) => `${surface} ${named}`))].sort();
          const of = async (surface: string) => ({
            found: sorted(await lexicon.find([surface], [surface])),
            begun: sorted(await lexicon.startingWith(surface, 10, false)),
            joined: sorted(await lexicon.startingWith(surface, 10, true)),
            meant: sorted((await lexicon.corrections(surface)).map(({ entry }) => entry)),
          });
          return Promise.all(WORDS.slice(0, 4).map(of));
        };
        for (const [change, look] of steps) {
          if ("add" in change) {
            const uses = Object.entries(change.add).map(([one, use]) => [one, USES[use] as WordUse] as const);
            await stores[change.by]?.add(new Map(uses), 1);
          } else if ("remove" in change) await own.remove([change.remove]);
          else {
            await collection.deleteOne({ _id: change.unnamed as never });
            await t.deps.mongo.connection
              .collection("search_index")
              .updateOne({ _id: "words" as never }, { $inc: { version: 1, removals: 1 } });
          }
          if (!look) continue;
          const head = (await segments.head()).words;
          cache.advance(head);
          expect(await answers(cache.over(own.lexicon, head.version))).toEqual(await answers(own.lexicon));
        }
      },
    ),
    { numRuns: 8 },
  );
});

test("an added word leaves in memory what it cannot answer", async () => {
  const { words, segments } = t.deps.searchIndex;
  const cache = new WordCache(100_000);
  let asked = 0;
  const counted = {
    ...words.lexicon,
    find(...of: [string[], string[]]) {
      asked++;
      return words.lexicon.find(...of);
    },
  };
  const find = async (surface: string) => {
    const head = (await segments.head()).words;
    cache.advance(head);
    return (await cache.over(counted, head.version).find([surface], [])).map((entry) => entry.surface);
  };
  await words.add(new Map([["lantern", USES.named as WordUse]]), 1);
  expect(await find("lantern")).toEqual(["lantern"]);
  await words.add(new Map([["changed12345", USES.described as WordUse]]), 1);
  expect(await find("lantern")).toEqual(["lantern"]);
  expect(asked).toBe(1);
  expect(await find("changed12345")).toEqual(["changed12345"]);
});
