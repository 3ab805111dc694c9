/** The search that is built in: words and segments in MongoDB, scores of our own. */

import type { MongoTx } from "../../db/mongo";
import type { JsonValue } from "../../lib/json";
import { canonicalKey } from "../../lib/text";
import type { ProductDocument } from "../model";
import { GTIN, gtinKeyOf } from "../shown";
import { type BuiltinOptions, compact, refreshPopularity } from "./compact";
import { usesOf } from "./count-words";
import { codesOf, searchDocumentOf } from "./document";
import type { Prepared, SearchEngine, SearchResult } from "./engine";
import { MOST_COUNTED } from "./facets";
import { type Frozen, find, findAgain } from "./find";
import type { Strictness } from "./match";
import { INDEX_FORMAT, RECENT } from "./model";
import { groupsOf, pageOf } from "./page";
import { parseQuery } from "./parse";
import type { Plan } from "./plan";
import { createIndexReader } from "./reader";
import { rebuildIndex } from "./rebuild";
import { suggester } from "./suggest";

/** Changed products from which on a round of taking them into segments is worth while. */
const WORTH_WHILE = 128;
/**
 * Products written by this process from which on whoever writes many takes them into segments himself: more at a time
 * than searches do, since what is taken up first is built again with what comes next until its segment is full.
 */
const MANY = 8192;

/** What the answer rests on, when words were taken for others. */
function correctedText({ slots }: Plan, strictness: Strictness): string | null {
  if (strictness === "most" || !slots.some(({ corrected }) => corrected !== undefined)) return null;
  return slots.map(({ surface, corrected }) => corrected ?? surface).join(" ");
}

/** Words that made products fit. */
const matchedWords = ({ slots }: Plan, strictness: Strictness): string[] => [
  ...new Set(
    slots.flatMap(({ alternatives }) =>
      alternatives.filter(({ spare }) => !spare || strictness !== "exact").flatMap(({ terms }) => terms),
    ),
  ),
];

export function createBuiltinEngine(options: BuiltinOptions): SearchEngine {
  const { store, clock, random, log, categoriesOf } = options;
  const reader = createIndexReader(store);
  let compacting: Promise<unknown> | undefined;
  let written = 0;

  /** Takes changes into segments beside what is going on, once at a time. */
  const compactSoon = (...howMany: [least: number, most?: number]): void => {
    compacting ??= compact(options, ...howMany)
      .catch((err) => log.warn({ err }, "changed products were not taken into a segment of the search"))
      .finally(() => {
        compacting = undefined;
      });
  };

  /** The search documents of products, whose words are there already. */
  const prepare = async (products: ProductDocument[], epoch = RECENT) => {
    const ids = products.flatMap(({ categoryIds, categoryTree }) => [...categoryIds, ...categoryTree]);
    const categories = await categoriesOf([...new Set(ids)]);
    const stamp = random.id();
    const documents = products.map((product) => ({
      ...searchDocumentOf(product, categories, stamp, epoch),
      inStock: product.inStock === true,
    }));
    await store.words.add(usesOf(documents.filter(({ live }) => live)), clock.now().getTime());
    return documents;
  };

  const put = async (
    products: ProductDocument[],
    tx: MongoTx | undefined,
    isNew: boolean,
    epoch = RECENT,
    prepared?: Prepared,
  ) => {
    const documents =
      (prepared?.prepared as Awaited<ReturnType<typeof prepare>> | undefined) ??
      (await prepare(products, epoch));
    await store.documents.put(documents, tx, isNew);
    written += documents.length;
  };

  /** Products that have what was typed as a SKU or GTIN. */
  const withCode = async (text: string): Promise<string[]> => {
    const code = canonicalKey(text);
    if (code.length > 100) return [];
    return store.documents.withCode(GTIN.test(code) ? [code, gtinKeyOf(code)] : codesOf(code));
  };

  const isCurrent = async () => (await store.segments.head()).manifest.format === INDEX_FORMAT;

  return {
    prepare: async (products) => ({ prepared: await prepare(products) }),

    put: (products, tx, isNew, prepared) => put(products, tx, isNew, RECENT, prepared),

    setInStock: (states) => store.documents.setInStock(states, random.id()),

    setPopularity: (changes, tx) => store.documents.setPopularity(changes, tx),

    refreshPopularity: () => refreshPopularity(options),

    async search(text, isFirst, rest): Promise<SearchResult> {
      // First of all: what is taken into segments after it is still read from its document.
      const [seen, coded, details] = await Promise.all([reader.look(), isFirst ? withCode(text) : [], rest]);
      const request = { text, ...details };
      const groups = groupsOf(request);
      const { state, synonyms, pinned } = request;
      const found =
        state === null
          ? await find(
              reader,
              seen,
              parseQuery(text),
              synonyms,
              { pinned, coded, hidden: request.hidden },
              groups,
            )
          : await findAgain(reader, seen, state as unknown as Frozen, groups);
      const { ids, next, total, facets } = await pageOf(found, request);
      if (found.opened.changed >= WORTH_WHILE) compactSoon(WORTH_WHILE);
      const { plan, weights, strictness, first, hidden } = found;
      return {
        ids,
        next,
        state: { plan, weights, strictness, first, hidden } as unknown as JsonValue,
        total: { value: Math.min(total, MOST_COUNTED), relation: total > MOST_COUNTED ? "gte" : "eq" },
        facets,
        corrected: total === 0 ? null : correctedText(plan, strictness),
        matched: matchedWords(plan, strictness),
      };
    },

    suggest: suggester(reader),

    rebuild: (onProgress) => rebuildIndex(options, put, onProgress),

    async begin() {
      if ((await isCurrent()) || (await options.countProducts()) > 0) return;
      await store.segments.setFormat(INDEX_FORMAT);
    },

    isOutdated: async () => !(await isCurrent()),

    maintain() {
      if (written < MANY) return;
      written = 0;
      compactSoon(MANY / 2, MANY);
    },

    async finish() {
      await compacting;
      if (written < WORTH_WHILE) return;
      written = 0;
      while ((await compact(options, WORTH_WHILE, MANY)) > 0);
    },
  };
}
