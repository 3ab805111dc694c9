/** What an import tells of a product beside its outcome: how it would look, and which pictures it wants. */
import { formatMinor } from "../../lib/money";
import { optionKey } from "../build";
import type { ProductDocument } from "../model";
import type { GoodLine } from "./check";
import type { FaultKind, ImportFault, SampleProduct } from "./shapes";

/** A picture that a product should have. */
export interface PictureWish {
  productId: string;
  /** By the row of the product and the place among its pictures. */
  order: number;
  row: number;
  address: string;
  alt: string;
  variantIds: string[];
}

/** More than the pictures of one product, which are at most two a row and 31 a row of Medusa's. */
const MAX_PLACES = 100_000;
/** Most kinds of faults that are told apart. */
const MAX_KINDS = 50;
/** Variants that a sample shows. */
const SHOWN_VARIANTS = 5;

export const sampleOf = (
  outcome: SampleProduct["outcome"],
  product: ProductDocument,
  { read, line }: GoodLine,
): SampleProduct => ({
  row: read.row,
  outcome,
  slug: product.slug,
  name: product.name,
  status: product.status,
  brand: product.brand,
  categories: line.categories ?? [],
  pictures: read.pictures?.length ?? 0,
  variantCount: product.variants.length,
  variants: product.variants.slice(0, SHOWN_VARIANTS).map(({ sku, price, currency, options }) => ({
    sku,
    price: formatMinor(price, currency),
    currency,
    options: options.map(({ name, value }) => `${name}=${value}`),
  })),
});

/** The pictures that a line names, for the product as it was written. */
export function wishesOf(good: GoodLine, product: ProductDocument): PictureWish[] {
  const byKey = new Map(product.variants.map(({ skuKey, _id }) => [skuKey, _id]));
  const byOptions = new Map(product.variants.map(({ options, _id }) => [optionKey(options), _id]));
  const idOf = (index: number): string | undefined => {
    const { options = [] } = good.variants[index] ?? {};
    return (
      byKey.get(good.skuKeys[index] ?? "") ??
      (options.length === 0 ? undefined : byOptions.get(optionKey(options)))
    );
  };
  return (good.read.pictures ?? []).map(({ row, address, alt, variants }, place) => ({
    productId: product._id,
    order: good.read.row * MAX_PLACES + place,
    row,
    address,
    alt,
    // Of a product with one form a picture is the product's.
    variantIds: product.variants.length === 1 ? [] : variants.flatMap((index) => idOf(index) ?? []),
  }));
}

/** What is wrong, without the values that it is wrong with. */
const kindOf = ({ kind, message }: ImportFault): string =>
  (kind ?? message.replace(/"[^"]*"/g, '"…"').replace(/\d+/g, "#")).slice(0, 200);

/** Counts a fault with those of its kind. */
export function countFault(kinds: FaultKind[], fault: ImportFault): void {
  const { row, message } = fault;
  const wanted = kindOf(fault);
  const kind = kinds.length < MAX_KINDS || kinds.some((one) => one.kind === wanted) ? wanted : "others";
  const found = kinds.find((one) => one.kind === kind);
  if (found) found.count++;
  else kinds.push({ kind, count: 1, row, message: message.slice(0, 500) });
}
