/** The same products in other engines, set up as somebody would who knows them well. */
import { create, insertMultiple, search } from "@orama/orama";
import MiniSearch from "minisearch";
import { stemmer } from "stemmer";
import type { JudgedProduct } from "./judgements";

/** What an engine finds: places of products, the best first. */
export type Find = (query: string) => Promise<number[]> | number[];

const words = (text: string): string[] =>
  text
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu) ?? [];

const boost = ({ popularity }: JudgedProduct): number => 1 + Math.log10(1 + popularity) / 10;

/** MiniSearch: stems, one mistake in five letters, beginnings, weights, all words or else any, popularity. */
export function miniSearch(products: (JudgedProduct & { description: string })[]): Find {
  const index = new MiniSearch({
    fields: ["name", "brand", "categories", "description"],
    extractField: (document, field) =>
      field === "categories" ? document.categories.join(" ") : document[field],
    tokenize: words,
    processTerm: (term) => stemmer(term),
  });
  index.addAll(products.map((product, id) => ({ id, ...product })));
  return (query) => {
    const options = {
      boost: { name: 6, brand: 4, categories: 2.5, description: 0.6 },
      fuzzy: (term: string) => (term.length > 3 && !/\d/.test(term) ? 0.2 : false),
      prefix: (_: string, index: number, terms: string[]) => index === terms.length - 1,
      boostDocument: (id: number) => boost(products[id] as JudgedProduct),
    };
    const all = index.search(query, { ...options, combineWith: "AND" });
    return (all.length > 0 ? all : index.search(query, { ...options, combineWith: "OR" })).map(
      ({ id }) => id,
    );
  };
}

/** Orama: stems, one mistake, weights, all words or else any, popularity. */
export async function orama(products: (JudgedProduct & { description: string })[]): Promise<Find> {
  const index = create({
    schema: { name: "string", brand: "string", categories: "string", description: "string" } as const,
    components: { tokenizer: { stemming: true, stemmer, language: "english" } },
  });
  await insertMultiple(
    index,
    products.map(({ name, brand, categories, description }, id) => ({
      id: String(id),
      name,
      brand,
      categories: categories.join(" "),
      description,
    })),
    1000,
  );
  return async (term) => {
    const find = (threshold: number, tolerance: number) =>
      search(index, {
        term,
        properties: ["name", "brand", "categories", "description"],
        boost: { name: 6, brand: 4, categories: 2.5, description: 0.6 },
        tolerance,
        threshold,
        limit: 200,
      });
    let { hits } = await find(0, 0);
    if (hits.length === 0) ({ hits } = await find(0, 1));
    if (hits.length === 0) ({ hits } = await find(1, 1));
    return hits
      .map(({ id, score }) => ({
        id: Number(id),
        rank: score * boost(products[Number(id)] as JudgedProduct),
      }))
      .sort((a, b) => b.rank - a.rank)
      .map(({ id }) => id);
  };
}
