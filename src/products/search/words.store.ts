/** The words of the index, for typing mistakes, beginnings and forms. */
import { duplicateKey, duplicateKeys, type Mongo } from "../../db/mongo";
import { chunksOf } from "../../lib/chunks";
import { together } from "../../lib/together";
import type { WordUse } from "./analyse";
import { ByteCache } from "./cache";
import { mergedUses, type WordCounts, type WordUses } from "./count-words";
import { mistakesIn, neighbourhood } from "./distance";
import { correctionsOf, type Lexicon, type LexiconEntry, SHORTEST } from "./lexicon";
import { type AddedWord, searchManifestModel, searchWordModel, type WordDocument } from "./model";
import { stemOf } from "./text";

/** Words have their beginnings of up to this length; longer ones are looked for among those of the longest. */
const LONGEST = 6;
/** Memory for words that are known to be there, in bytes. */
const THERE = 6 * 2 ** 20;
/** Most words of a neighbourhood that are looked at. */
const MOST_NEAR = 500;
/** Words written at once. */
const BATCH = 400;
/** So many of the words that were added last are named, for those who keep words in memory. */
const MOST_NAMED = 32;
/** Callers whose words are added together. */
const MOST_TOGETHER = 32;

const prefixesOf = (word: string): string[] => {
  const characters = [...word];
  return Array.from(
    { length: Math.max(0, Math.min(LONGEST, characters.length) - SHORTEST + 1) },
    (_, index) => characters.slice(0, SHORTEST + index).join(""),
  );
};

/** What a word that products are named with is found by. */
const lookedUpBy = (surface: string) => ({
  prefixes: prefixesOf(surface),
  near: mistakesIn(surface) === 0 ? [] : neighbourhood(surface, mistakesIn(surface)),
});

/** The document of a word. */
const wordDocument = (
  surface: string,
  { made, named, behindNumber }: WordUse,
  since: number,
): WordDocument => ({
  _id: surface,
  stem: made ? "" : stemOf(surface),
  count: 1,
  named: named ? 1 : 0,
  behindNumber: behindNumber ? 1 : 0,
  made,
  since,
  ...(named && !made ? lookedUpBy(surface) : {}),
});

export const createWordStore = (mongo: Mongo) => {
  const Words = searchWordModel(mongo.connection);
  const Versions = searchManifestModel(mongo.connection);
  /** Words that are there: as long as none is removed, they stay. */
  const there = new ByteCache(THERE);
  /** How many removals there had been when they were. */
  let removalsThen = 0;

  /**
   * After every change of the words: whoever keeps some in memory reads them again; where words were only added, those
   * that these may have changed.
   */
  const countUp = async ({ removals = 0, added = [] as AddedWord[] } = {}): Promise<void> => {
    const update =
      added.length === 0 || added.length > MOST_NAMED
        ? { $inc: { version: 1, removals } }
        : {
            $inc: { version: added.length, additions: added.length },
            $push: { added: { $each: added, $slice: -MOST_NAMED } },
          };
    const count = (upsert: boolean) =>
      Versions.collection.updateOne({ _id: "words" as never }, update as object, { upsert });
    await count(true).catch((error) => {
      // Two made it at the same moment.
      if (duplicateKey(error) === undefined) throw error;
      return count(false);
    });
  };

  const entryOf = ({ _id, count, named, behindNumber, made }: WordDocument): LexiconEntry => ({
    surface: _id,
    count,
    named,
    behindNumber,
    made,
  });

  /** Words by the index of their beginnings, neighbourhoods or stems, or by themselves. */
  const wordsBy = async (filter: object, options: { sort?: { count: -1 }; limit?: number } = {}) =>
    (
      await Words.collection
        .find(filter, {
          projection: { stem: 0, prefixes: 0, near: 0, since: 0 },
          batchSize: 1000,
          ...options,
        })
        .toArray()
    ).map((word) => entryOf(word as unknown as WordDocument));
  const mostFrequent = (filter: object, limit: number) => wordsBy(filter, { sort: { count: -1 }, limit });

  const lexicon: Lexicon = {
    async find(surfaces, stems) {
      const known = stems.filter((stem) => stem !== "");
      // Two questions: an engine that finds no index for either of them together reads every word.
      const [own, alike] = await Promise.all([
        surfaces.length === 0 ? [] : wordsBy({ _id: { $in: surfaces } }),
        known.length === 0 ? [] : wordsBy({ stem: { $in: known } }),
      ]);
      const words = new Map([...own, ...alike].map((entry) => [entry.surface, entry]));
      return [...words.values()];
    },
    async startingWith(prefix, limit, made) {
      if (made) {
        const beginning = { _id: { $gte: prefix, $lt: `${prefix}\u{10ffff}` }, made: true };
        return (await wordsBy(beginning, { limit: 200 })).slice(0, limit * 10);
      }
      const characters = [...prefix];
      if (characters.length < SHORTEST) return [];
      const words = await mostFrequent(
        { prefixes: characters.slice(0, LONGEST).join("") },
        characters.length > LONGEST ? 200 : limit,
      );
      return words.filter(({ surface }) => surface.startsWith(prefix)).slice(0, limit);
    },
    corrections: (surface) =>
      correctionsOf(surface, (members) => mostFrequent({ near: { $in: members } }, MOST_NEAR)),
  };

  const add = async (uses: WordUses, since: number): Promise<void> => {
    const row = await Versions.collection.findOne({ _id: "words" as never });
    const removals = Number(row?.removals ?? 0);
    // An older answer may come later.
    if (removals > removalsThen) {
      removalsThen = removals;
      there.keepOnly(() => false);
    }
    const isCurrent = () => removals === removalsThen;
    const keep = (word: string, named: boolean, made: boolean) =>
      isCurrent() && there.set(word, { named, made }, word.length + 100);
    const unsure = new Set<string>();
    // Known from a description, or as a join, and now the name of something.
    const risen: string[] = [];
    const learn = (word: string, named: boolean, made: boolean) => {
      const use = uses.get(word);
      if (use?.named && !use.made && (!named || made)) risen.push(word);
    };
    for (const word of uses.keys()) {
      const known = isCurrent() ? there.get<{ named: boolean; made: boolean }>(word) : undefined;
      if (known) learn(word, known.named, known.made);
      else unsure.add(word);
    }
    const found =
      unsure.size === 0
        ? []
        : await Words.collection
            .find(
              { _id: { $in: [...unsure] as never[] } },
              { projection: { named: 1, made: 1 }, batchSize: 10_000 },
            )
            .toArray();
    for (const row of found) {
      const [word, named, made] = [String(row._id), Number(row.named) > 0, row.made === true];
      unsure.delete(word);
      keep(word, named, made);
      learn(word, named, made);
    }
    const missing = Array.from(unsure, (word) => wordDocument(word, uses.get(word) as WordUse, since));
    if (missing.length > 0) {
      await Words.collection.insertMany(missing as never[], { ordered: false }).catch((error) => {
        // Somebody else added some of them at the same moment.
        if (!duplicateKeys(error)) throw error;
      });
    }
    if (risen.length > 0) {
      await Words.collection.bulkWrite(
        risen.map((word) => ({
          updateOne: {
            filter: { _id: word as never },
            update: { $set: { made: false, stem: stemOf(word), ...lookedUpBy(word) }, $max: { named: 1 } },
          },
        })),
        { ordered: false },
      );
      for (const word of risen) keep(word, true, false);
    }
    const added = [
      ...missing.map(({ _id: word, named, made }) => ({ word, lookedUp: named > 0 || made })),
      ...risen.map((word) => ({ word, lookedUp: true })),
    ];
    if (added.length > 0) await countUp({ added });
  };

  const addTogether = together<{ uses: WordUses; since: number }, void>(async (asked) => {
    await add(mergedUses(asked.map(({ uses }) => uses)), Math.max(...asked.map(({ since }) => since)));
    return asked.map(() => undefined);
  }, MOST_TOGETHER);

  return {
    lexicon,

    /**
     * Adds the words that are not there; those of several callers at once together. Not part of a transaction: a word too
     * many harms nobody.
     */
    add: (uses: WordUses, since: number): Promise<void> => addTogether({ uses, since }),

    /** Sets the counts of words. */
    async setCounts(counts: WordCounts, since: number): Promise<void> {
      for (const some of chunksOf([...counts], BATCH)) {
        await Words.collection.bulkWrite(
          some.map(([surface, { made, count, namedCount, behindCount }]) => ({
            updateOne: {
              filter: { _id: surface as never },
              update: {
                $set: {
                  ...{ count, named: namedCount, behindNumber: behindCount },
                  ...{ stem: made ? "" : stemOf(surface), made },
                  ...(namedCount > 0 && !made ? lookedUpBy(surface) : {}),
                },
                $setOnInsert: { since },
              } as object,
              upsert: true,
            },
          })),
          { ordered: false },
        );
      }
      await countUp();
    },

    /** Adds to the counts of words; most of a batch have the same few numbers. */
    async addCounts(counts: WordCounts): Promise<void> {
      const alike = Map.groupBy(
        counts,
        ([, { count, namedCount, behindCount }]) => `${count} ${namedCount} ${behindCount}`,
      );
      for (const words of alike.values()) {
        const [, { count, namedCount, behindCount }] = words[0] as (typeof words)[number];
        // By themselves: an engine may hold what a statement wrote until all that came with it are done.
        for (const some of chunksOf(words, BATCH)) {
          await Words.collection.updateMany(
            { _id: { $in: some.map(([surface]) => surface as never) } },
            { $inc: { count, named: namedCount, behindNumber: behindCount } },
          );
        }
      }
      await countUp();
    },

    /** Words from behind one on, for looking which are still used. */
    async after(after: string, limit: number, before: number): Promise<string[]> {
      const rows = await Words.collection
        .find(
          { _id: { $gt: after as never }, since: { $lt: before } },
          { projection: { _id: 1 }, sort: { _id: 1 }, limit },
        )
        .toArray();
      return rows.map(({ _id }) => String(_id));
    },

    async remove(words: string[]): Promise<void> {
      if (words.length === 0) return;
      await Words.collection.deleteMany({ _id: { $in: words as never[] } });
      await countUp({ removals: 1 });
    },
  };
};

export type WordStore = ReturnType<typeof createWordStore>;
