/** From a product to its search document and back to what a segment is built from. */
import { canonicalKey } from "../../lib/text";
import type { CategoryDocument } from "../categories/model";
import type { ProductDocument } from "../model";
import { gtinKeyOf } from "../shown";
import { type AnalysedProduct, analyse, type TermEntry } from "./analyse";
import { Reader, Writer } from "./leb128";
import type { SearchDocument } from "./model";
import { stemOf, wordsOf } from "./text";

const MADE = 1;
const NAMED = 2;
const BEHIND_NUMBER = 4;

/** The terms of a product with what is known of each, in few bytes. */
function pack(terms: AnalysedProduct["terms"]): Uint8Array {
  const writer = new Writer();
  for (const { impact, places, made, named, behindNumber } of terms) {
    writer.number((made ? MADE : 0) | (named ? NAMED : 0) | (behindNumber ? BEHIND_NUMBER : 0));
    writer.number(impact);
    writer.ascending(places);
  }
  return writer.done();
}

/** The terms of a search document with their places. */
export function unpack({ terms, packed }: { terms: string[]; packed: Uint8Array }): TermEntry[] {
  const reader = new Reader(packed);
  return terms.map((term) => {
    reader.skip(1);
    const impact = reader.number();
    const places: number[] = [];
    let place = 0;
    for (let left = reader.number(); left > 0; left--) {
      place += reader.number();
      places.push(place);
    }
    return { term, impact, places };
  });
}

/** Visits the terms of a search document as words, without making anything of where they stand. */
export function eachWord(
  { terms, packed }: { terms: string[]; packed: Uint8Array },
  visit: (surface: string, made: boolean, named: boolean, behindNumber: boolean) => void,
): void {
  const reader = new Reader(packed);
  for (const term of terms) {
    const flags = reader.number();
    reader.skip(1);
    reader.skip(reader.number());
    visit(term, (flags & MADE) !== 0, (flags & NAMED) !== 0, (flags & BEHIND_NUMBER) !== 0);
  }
}

/** What a category holds, by the last word of each part of its name ("Cases & Clips": case, clip). */
const headsOf = (name: string): string[] =>
  name
    .split(/\s*(?:&|\/|,|\s(?:and|und|et|y|e)\s)\s*/u)
    .flatMap((part) => wordsOf(part).at(-1)?.surface ?? [])
    .map(stemOf);

/**
 * A SKU as it may be typed: as it is, and without its separators when it has a digit.
 * @param key in canonical form
 * @example codesOf("kr-5100/b") // ["kr-5100/b", "kr5100b"]
 */
export function codesOf(key: string): string[] {
  const bare = key.replace(/[^\p{L}\p{N}\p{M}]+/gu, "");
  return bare === key || !/\p{N}/u.test(bare) ? [key] : [key, bare];
}

const shown = ({ value, unit }: { value: string | number | boolean; unit: string | null }): string =>
  unit === null ? String(value) : `${value} ${unit}`;

/** A search document before it is written: `inStock` belongs to the stock and stays as it is. */
export type NewSearchDocument = Omit<SearchDocument, "packed" | "inStock"> & { packed: Uint8Array };

/**
 * What is searched of a product.
 * @param categories those of the product and their ancestors, by id
 * @param stamp new with each write
 */
export function searchDocumentOf(
  product: ProductDocument,
  categories: Map<string, CategoryDocument>,
  stamp: string,
  epoch: number,
): NewSearchDocument {
  const own = product.categoryIds.flatMap((id) => categories.get(id) ?? []);
  const ownIds = new Set(own.map(({ _id }) => _id));
  const above = product.categoryTree.flatMap((id) => {
    const category = categories.get(id);
    return category && !ownIds.has(category._id) ? [category.name] : [];
  });
  const attrs = product.attrs ?? [];
  const gtins = product.variants.flatMap(({ gtin }) => gtin ?? []);
  const unique = (list: string[]) => [...new Set(list)];
  const analysed = analyse({
    name: product.name,
    brand: product.brand,
    skus: product.variants.map(({ sku }) => sku),
    gtins: unique(gtins),
    options: unique(
      product.variants.flatMap(({ name, options }) => [
        ...(name === null ? [] : [name]),
        ...options.map(({ value }) => value),
      ]),
    ),
    attributes: attrs.map((attr) =>
      typeof attr.value === "boolean" ? (attr.value ? attr.key : "") : shown(attr),
    ),
    categories: own.map(({ name }) => name),
    ancestors: above,
    description: product.description,
  });
  return {
    _id: product._id,
    live: product.status === "active" && product.deletedAt === null,
    stamp,
    epoch,
    terms: analysed.terms.map(({ term }) => term),
    packed: pack(analysed.terms),
    head: analysed.head,
    targeted: analysed.targeted,
    codes: unique([...product.variants.flatMap(({ skuKey }) => codesOf(skuKey)), ...gtins.map(gtinKeyOf)]),
    brandKey: product.brandKey ?? null,
    brand: product.brand,
    categoryIds: product.categoryIds,
    categoryTree: product.categoryTree,
    categoryHeads: unique(own.flatMap(({ name }) => headsOf(name))),
    attrs: attrs.map((attr, index) => [product.attrKeys?.[index] ?? "", attr.key, shown(attr)]),
    price: product.price,
    currency: product.currency,
    createdAt: product.createdAt.getTime(),
    nameKey: product.nameKey ?? canonicalKey(product.name),
    popularity: product.popularity,
  };
}
