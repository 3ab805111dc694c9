import { formatMinor } from "../../lib/money";
import type { CategoryDocument } from "../categories/model";
import { namesItself } from "../categories/rules";
import type { ProductDeps } from "../deps";
import type { ProductDocument, ProductStatus } from "../model";
import { csvHeader, csvRows } from "./csv-write";
import type { ExportedProduct, Format } from "./shapes";

/** Products that are read together. */
const PAGE = 200;
/** How many categories are remembered. */
const KNOWN = 10_000;

/**
 * Finds the path of names of a category. An import makes slugs from names, so where a name would not give the
 * category's slug, the slug stands for it.
 */
function rememberPaths(deps: ProductDeps) {
  const known = new Map<string, CategoryDocument>();
  const load = async (ids: string[]) => {
    const missing = [...new Set(ids)].filter((id) => !known.has(id));
    if (known.size + missing.length > KNOWN) known.clear();
    const wanted = known.size === 0 ? [...new Set(ids)] : missing;
    if (wanted.length === 0) return;
    for (const [id, category] of await deps.categories.findByIds(wanted)) known.set(id, category);
  };
  return async (products: ProductDocument[]): Promise<(id: string) => string[][]> => {
    const ids = products.flatMap(({ categoryIds, categoryTree }) => [...categoryIds, ...categoryTree]);
    await load(ids);
    // One that moved since its products were written lies under others now.
    await load([...ids, ...ids.flatMap((id) => known.get(id)?.ancestors ?? [])]);
    return (id) => {
      const category = known.get(id);
      if (!category) return [];
      const line = [...category.ancestors.flatMap((one) => known.get(one) ?? []), category];
      return [line.map((one) => (namesItself(one) ? one.name : one.slug))];
    };
  };
}

const exported = (product: ProductDocument, pathsOf: (id: string) => string[][]): ExportedProduct => ({
  slug: product.slug,
  name: product.name,
  description: product.description,
  brand: product.brand,
  status: product.status,
  categories: product.categoryIds.flatMap(pathsOf),
  attrs: (product.attrs ?? []).map(({ key, value, unit }) => ({ key, value, unit })),
  metadata: { ...product.metadata },
  popularity: product.popularity,
  variants: product.variants.map(({ sku, name, price, currency, compareAtPrice, gtin, weight, options }) => ({
    sku,
    name,
    price: formatMinor(price, currency),
    currency,
    compareAtPrice: compareAtPrice === null ? null : formatMinor(compareAtPrice, currency),
    gtin,
    weight,
    options: options.map((option) => ({ name: option.name, value: option.value })),
  })),
});

/**
 * Every living product as NDJSON or CSV, the oldest first, a page at a time in memory. Each product is as it was
 * at one moment; the whole is not of one moment.
 * @param onPage called with how many products were written so far
 */
export async function* exportProducts(
  deps: ProductDeps,
  options: { format: Format; status?: ProductStatus | undefined; signal?: AbortSignal },
  onPage: (products: number) => Promise<void> | void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  const paths = rememberPaths(deps);
  if (options.format === "csv") yield encoder.encode(csvHeader());
  let count = 0;
  for (let after: string | null = null; ; ) {
    options.signal?.throwIfAborted();
    const page: ProductDocument[] = await deps.products.pageById(after, PAGE, options.status);
    const pathsOf = await paths(page);
    const lines = page.map((product) => {
      const line = exported(product, pathsOf);
      return options.format === "csv" ? csvRows(line) : `${JSON.stringify(line)}\n`;
    });
    count += page.length;
    if (page.length > 0) yield encoder.encode(lines.join(""));
    await onPage(count);
    after = page.at(-1)?._id ?? null;
    if (page.length < PAGE || after === null) return;
  }
}
