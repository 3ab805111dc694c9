import { createHash } from "node:crypto";
import { canonicalKey } from "../canonical";
import type { Deps } from "../deps";
import { AppError } from "../errors";
import type { CategoryDocument } from "./categories/model";
import { ensureCategoryPath } from "./categories/service";
import { signalProduct } from "./inventory/in-stock";
import type { ProductDocument } from "./model";
import { minorDigits, parseMinor } from "./money";
import { type ImportLine, importLineSchema } from "./schema";
import { buildProduct } from "./service";

/** What became of the lines so far. */
export interface ImportSummary {
  lines: number;
  created: number;
  updated: number;
  unchanged: number;
  failed: number;
}

/** A line that could not be imported; `line` counts from 1. */
export interface ImportFault {
  line: number;
  message: string;
}

/** Longest line, in characters: a file without line breaks must not fill the memory. */
const MAX_LINE = 1024 * 1024;

/**
 * Cuts a stream of bytes into lines and holds one at a time. A line that is too long or not UTF-8 is given
 * as an error, not thrown, so that the others still count.
 */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<{ text: string } | { error: string }> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let parts: Uint8Array[] = [];
  let length = 0;
  let tooLong = false;
  const flush = (): { text: string } | { error: string } => {
    const bytes = Buffer.concat(parts);
    const wasTooLong = tooLong;
    parts = [];
    length = 0;
    tooLong = false;
    if (wasTooLong) return { error: `is longer than ${MAX_LINE} bytes` };
    try {
      return { text: decoder.decode(bytes) };
    } catch {
      return { error: "is not UTF-8" };
    }
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      if (!tooLong) parts.push(chunk.subarray(start, end));
      yield flush();
      start = end + 1;
    }
    const rest = chunk.subarray(start);
    length += rest.length;
    if (length > MAX_LINE) {
      tooLong = true;
      parts = [];
    } else if (rest.length > 0) {
      parts.push(rest.slice());
    }
  }
  if (length > 0 || tooLong) yield flush();
}

/**
 * The SKU of a line that names none: from what identifies it (its picture too, since catalogues hold several
 * products of one name), so that the same file gives the same SKUs again and a second import changes nothing.
 */
const derivedSku = (line: ImportLine): string =>
  `I-${createHash("sha256")
    .update(
      JSON.stringify([
        canonicalKey(line.name),
        line.brand ?? null,
        line.categories ?? [],
        line.image ?? null,
      ]),
    )
    .digest("hex")
    .slice(0, 16)
    .toUpperCase()}`;

/**
 * Windows-1252 read as Latin-1 leaves C1 controls where signs such as ™ were. They mean nothing else in text,
 * so they are read as HTML reads them (WHATWG "numeric character reference end state").
 */
const repairControls = (text: string): string =>
  text.replace(/[\u0080-\u009f]/g, (char) =>
    new TextDecoder("windows-1252").decode(Uint8Array.of(char.charCodeAt(0))),
  );

/** The part of a product that an import decides: what must differ for a line to be a change. */
const imported = (product: ProductDocument) =>
  JSON.stringify([
    product.name,
    product.description,
    product.brand,
    product.categoryIds,
    product.price,
    product.currency,
    product.popularity,
    product.variants.map(({ sku, price, currency }) => [sku, price, currency]),
  ]);

/** A line that was read and found right, with its place in the file. */
interface ReadLine {
  number: number;
  line: ImportLine;
  sku: string;
  skuKey: string;
}

/** What became of one line: a change, none, or why it could not be imported. */
type Outcome = "created" | "updated" | "unchanged" | { fault: string };

/** Why a line was refused; anything but a refusal of ours is thrown on. */
function faultOf(error: unknown): { fault: string } {
  if (!(error instanceof AppError) || error.status >= 500) throw error;
  return { fault: error.errors?.map(({ path, message }) => `${path} ${message}`).join("; ") ?? error.detail };
}

/** The product that a line describes; `existing` is what its SKU names now. */
function productOf(
  deps: Deps,
  { line, sku }: ReadLine,
  category: CategoryDocument | null,
  existing: ProductDocument | undefined,
): ProductDocument {
  const currency = line.currency ?? deps.config.defaultCurrency;
  // The shortest decimal text of a number is what was written in the file.
  const price = parseMinor(String(line.price), currency);
  if (price === null) {
    throw new AppError(
      "invalid_input",
      `price ${line.price} has more than ${minorDigits(currency)} decimals of ${currency}`,
    );
  }
  const input = {
    name: line.name,
    description: line.description ?? "",
    brand: line.brand ?? null,
    currency,
    variants: [{ sku, price }],
    // Names repeat in real catalogues; the SKU makes the slug one of a kind.
    slug: existing?.slug ?? line.slug ?? `${line.name.slice(0, 90)} ${sku.slice(-8)}`,
  };
  return {
    ...buildProduct(deps, existing?._id ?? deps.random.id(), input, category === null ? [] : [category]),
    popularity: line.popularity ?? existing?.popularity ?? 0,
  };
}

/**
 * Writes what a line changed in a product that is there: what the line does not say stays, and so do the
 * product's other variants.
 */
async function update(
  deps: Deps,
  existing: ProductDocument,
  product: ProductDocument,
  { line, skuKey }: ReadLine,
): Promise<Outcome> {
  const [told] = product.variants;
  if (!told) throw new Error("an imported product has one variant");
  const variants = existing.variants.map((variant) =>
    variant.skuKey === skuKey ? { ...variant, price: told.price, currency: told.currency } : variant,
  );
  const cheapest = variants.reduce((least, variant) => (variant.price < least.price ? variant : least));
  const { brandKey, ...rest } = existing;
  const merged: ProductDocument = {
    ...rest,
    name: product.name,
    nameKey: product.nameKey,
    variants,
    price: cheapest.price,
    currency: cheapest.currency,
    popularity: product.popularity,
    updatedAt: product.updatedAt,
    ...(line.description === undefined ? {} : { description: product.description }),
    ...(line.categories === undefined
      ? {}
      : { categoryIds: product.categoryIds, categoryTree: product.categoryTree }),
    ...(line.brand === undefined ? { brandKey } : { brand: product.brand, brandKey: product.brandKey }),
  };
  if (imported(existing) === imported(merged)) return "unchanged";
  if (!(await deps.products.replace(merged, existing.version))) {
    return { fault: "somebody else changed the product at the same moment; import it again" };
  }
  return "updated";
}

/** The categories of the last lines, so that a file of thousands in a few categories does not ask for each. */
function rememberCategories(deps: Deps) {
  const known = new Map<string, CategoryDocument>();
  return async (path: string[] | undefined): Promise<CategoryDocument | null> => {
    if (path === undefined) return null;
    const key = JSON.stringify(path);
    const present = known.get(key);
    if (present) return present;
    if (known.size >= 10_000) known.clear();
    const category = await ensureCategoryPath(deps, path);
    known.set(key, category);
    return category;
  };
}

/** Imports lines whose SKUs all differ: one look-up and one insert for all of them. */
async function importBatch(
  deps: Deps,
  batch: ReadLine[],
  categoryOf: ReturnType<typeof rememberCategories>,
): Promise<Outcome[]> {
  const found = await deps.products.findBySkus(batch.map(({ skuKey }) => skuKey));
  const bySku = new Map(
    found.flatMap((product) => product.variants.map(({ skuKey }) => [skuKey, product] as const)),
  );
  const outcomes: Outcome[] = new Array(batch.length);
  const added: { place: number; product: ProductDocument }[] = [];
  for (const [place, read] of batch.entries()) {
    try {
      const existing = bySku.get(read.skuKey);
      const product = productOf(deps, read, await categoryOf(read.line.categories), existing);
      if (existing) outcomes[place] = await update(deps, existing, product, read);
      else added.push({ place, product });
    } catch (error) {
      outcomes[place] = faultOf(error);
    }
  }
  if (added.length === 0) return outcomes;
  const taken = new Set(await deps.products.createMany(added.map(({ product }) => product)));
  // Seldom: SKUs of products that were deleted and left stock behind.
  if (await deps.inventory.hasLevels(added.flatMap(({ product }) => product.skuKeys ?? []))) {
    for (const { product } of added) await signalProduct(deps, product, deps.random.id());
  }
  for (const [index, { place, product }] of added.entries()) {
    const read = batch[place];
    if (!taken.has(index) || read === undefined) {
      outcomes[place] = "created";
      continue;
    }
    // Alone once more: to change what another import made meanwhile, or to say which key it is.
    try {
      const existing = await deps.products.findBySku(read.skuKey);
      if (existing) {
        const category = await categoryOf(read.line.categories);
        outcomes[place] = await update(deps, existing, productOf(deps, read, category, existing), read);
      } else {
        await deps.products.create(product);
        outcomes[place] = "created";
      }
    } catch (error) {
      outcomes[place] = faultOf(error);
    }
  }
  return outcomes;
}

/** A line as it was read, or what is wrong with it. */
function parseLine(raw: { text: string } | { error: string }): ImportLine | { fault: string } {
  if ("error" in raw) return { fault: raw.error };
  let json: unknown;
  try {
    json = JSON.parse(raw.text, (_key, value) => (typeof value === "string" ? repairControls(value) : value));
  } catch {
    return { fault: "is not valid JSON" };
  }
  const parsed = importLineSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  return {
    fault: parsed.error.issues
      .map((issue) => `${issue.path.join(".") || "line"} ${issue.message}`)
      .join("; "),
  };
}

/** Lines that are looked up and written together. */
const BATCH = 100;

/**
 * Imports NDJSON, one product a line, as a stream: some lines at a time in memory. A product is found by its
 * SKU, so importing the same file twice changes nothing.
 * @param onLine called for each line with the sums so far and the fault, if there was one
 */
export async function importProducts(
  deps: Deps,
  stream: ReadableStream<Uint8Array>,
  onLine: (summary: ImportSummary, fault?: ImportFault) => void,
): Promise<ImportSummary> {
  const summary: ImportSummary = { lines: 0, created: 0, updated: 0, unchanged: 0, failed: 0 };
  const categoryOf = rememberCategories(deps);
  const count = (line: number, outcome: Outcome) => {
    if (typeof outcome === "string") {
      summary[outcome]++;
      onLine(summary);
    } else {
      summary.failed++;
      onLine(summary, { line, message: outcome.fault });
    }
  };
  // In the order of the file, so that its faults are told in that order.
  let pending: (ReadLine | { number: number; fault: string })[] = [];
  let skus = new Set<string>();
  const flush = async () => {
    const items = pending;
    pending = [];
    skus = new Set();
    const outcomes = await importBatch(
      deps,
      items.filter((item) => "line" in item),
      categoryOf,
    );
    let next = 0;
    for (const item of items) count(item.number, "fault" in item ? item : (outcomes[next++] as Outcome));
  };
  for await (const raw of readLines(stream)) {
    summary.lines++;
    if ("text" in raw && raw.text.trim() === "") continue;
    const number = summary.lines;
    const line = parseLine(raw);
    if ("fault" in line) {
      pending.push({ number, ...line });
    } else {
      const sku = line.sku ?? derivedSku(line);
      const skuKey = canonicalKey(sku);
      // A SKU that comes twice changes its product twice, in the order of the file.
      if (skus.has(skuKey)) await flush();
      skus.add(skuKey);
      pending.push({ number, line, sku, skuKey });
    }
    if (pending.length >= BATCH) await flush();
  }
  await flush();
  return summary;
}
