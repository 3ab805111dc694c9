import { createHash } from "node:crypto";
import { AppError, invalidInput, refusedFields } from "../../lib/errors";
import { formatMinor, minorDigits, parseMinor } from "../../lib/money";
import { canonicalKey } from "../../lib/text";
import { addSlugSuffix, buildProduct, categoriesOf, inputOf, rebuildProduct, slugGivenAway } from "../build";
import type { CategoryDocument } from "../categories/model";
import { ensureCategoryPath } from "../categories/paths";
import type { ProductDeps } from "../deps";
import { MAX_VARIANTS } from "../fields";
import type { ProductDocument, VariantDocument } from "../model";
import type { CreateProduct } from "../schema";
import { signalProduct } from "../stock-signal";
import { type ImportLine, type ImportVariant, importLineSchema } from "./line";
import { type Format, type ReadLine, readProducts } from "./read";

/** How far an import is, and what became of its lines so far. A later try goes on behind `rows`. */
export interface ImportProgress {
  /** Rows of the file that are done with, a header included. */
  rows: number;
  /** Bytes of the file that were read. */
  bytes: number;
  /** Products. */
  created: number;
  updated: number;
  unchanged: number;
  failed: number;
}

/** Why a row could not be imported. */
export interface ImportFault {
  row: number;
  message: string;
}

export interface ImportOptions {
  format: Format;
  /** Says what would be done and does nothing. */
  dryRun?: boolean;
  /** Where an earlier try of the same file left off. */
  resume?: ImportProgress | undefined;
  /** Ends the import between two batches. */
  signal?: AbortSignal;
}

const NOTHING: ImportProgress = { rows: 0, bytes: 0, created: 0, updated: 0, unchanged: 0, failed: 0 };

/** Products that are looked up and written together. */
const BATCH = 25;
/** Most characters of what lies in memory together. */
const BATCH_SIZE = 8 * 1024 * 1024;
/** How many categories are remembered. */
const KNOWN = 10_000;

/** A line that was read and found right. */
interface GoodLine {
  read: ReadLine;
  line: ImportLine;
  variants: ImportVariant[];
  skuKeys: string[];
  slugKey: string | undefined;
}

/** What is to be done about a line. */
type Plan =
  | {
      outcome: "created" | "updated";
      product: ProductDocument;
      newSkus: string[];
      /** The slug that the product gives away, if it does. */
      givenAway?: { slugKey: string; productId: string }[];
    }
  | { outcome: "unchanged" };

const PATH_OF_VARIANT = /^variants\.(\d+)\b\.?/;

/** Faults as rows: what is wrong with a variant belongs to its row. */
function faultsOf(read: ReadLine, errors: { path: string; message: string }[]): ImportFault[] {
  const byRow = new Map<number, string[]>();
  for (const { path, message } of errors) {
    const index = PATH_OF_VARIANT.exec(path)?.[1];
    const row = index === undefined ? undefined : read.variantRows?.[Number(index)];
    const name = row === undefined ? path : path.replace(PATH_OF_VARIANT, "");
    const place = row ?? read.row;
    byRow.set(place, [...(byRow.get(place) ?? []), `${name === "" ? "" : `${name} `}${message}`]);
  }
  return [...byRow].map(([row, messages]) => ({ row, message: messages.slice(0, 20).join("; ") }));
}

/** Why a line was refused; anything but a refusal of ours or of the schema is thrown on. */
function refusal(read: ReadLine, error: unknown): ImportFault[] {
  const refused = refusedFields(error);
  // Keys are made from the field that they are named after.
  if (refused)
    return faultsOf(
      read,
      refused.map(({ path, kind }) => ({
        path: path.replace(/Key$/, ""),
        message: kind === "maxlength" ? "is too long" : `cannot be stored (${kind})`,
      })),
    );
  if (!(error instanceof AppError) || error.status >= 500) throw error;
  return error.errors ? faultsOf(read, error.errors) : [{ row: read.row, message: error.detail }];
}

/**
 * The SKU of a line that names none: from what identifies it (its picture too, since catalogues hold several
 * products of one name), so that the same file gives the same SKUs again and a second import changes nothing.
 */
const derivedSku = (line: ImportLine): string =>
  `I-${createHash("sha256")
    .update(
      JSON.stringify([
        line.slug === undefined ? canonicalKey(line.name ?? "") : canonicalKey(line.slug),
        line.brand ?? null,
        line.categories ?? [],
        line.image ?? null,
      ]),
    )
    .digest("hex")
    .slice(0, 16)
    .toUpperCase()}`;

/** Checks a line by itself. */
function checkLine(read: ReadLine): GoodLine | ImportFault[] {
  if (read.fault !== undefined) return [{ row: read.row, message: read.fault }];
  const parsed = importLineSchema.safeParse(read.value);
  if (!parsed.success) {
    return faultsOf(
      read,
      parsed.error.issues.map((issue) =>
        issue.code === "unrecognized_keys"
          ? {
              path: [...issue.path, issue.keys[0]].join("."),
              message: "is not a known field; remove it or check its spelling",
            }
          : { path: issue.path.join("."), message: issue.message },
      ),
    );
  }
  const line = parsed.data;
  const variants = line.variants ?? [
    { sku: line.sku ?? derivedSku(line), ...(line.price === undefined ? {} : { price: line.price }) },
  ];
  return {
    read,
    line,
    variants,
    skuKeys: variants.map(({ sku }) => canonicalKey(sku)),
    slugKey: line.slug === undefined ? undefined : canonicalKey(line.slug),
  };
}

/** Minor units of a decimal text. @throws AppError invalid_input */
function minorOf(decimal: string, currency: string, path: string): number {
  const amount = parseMinor(decimal, currency);
  if (amount !== null) return amount;
  throw invalidInput(
    path,
    "invalid_format",
    `${decimal.trim().slice(0, 40)} has more than ${minorDigits(currency)} decimals of ${currency} or is above ` +
      formatMinor(Number.MAX_SAFE_INTEGER, currency),
  );
}

type InputVariant = NonNullable<CreateProduct["variants"]>[number];

/** A variant as a line leaves it; `present` is what it is now. @throws AppError invalid_input */
function laidOver(
  deps: ProductDeps,
  line: ImportLine,
  given: ImportVariant,
  present: VariantDocument | undefined,
  path: string,
): InputVariant {
  const currency = given.currency ?? line.currency ?? present?.currency ?? deps.config.defaultCurrency;
  const { price, compareAtPrice } = given;
  if (price === undefined && present === undefined) {
    throw invalidInput(`${path}price`, "required", "is needed for a new variant");
  }
  if (present && currency !== present.currency && price === undefined) {
    throw invalidInput(`${path}price`, "required", "is needed with another currency");
  }
  const { _id, skuKey, ...now } = present ?? ({} as Partial<VariantDocument>);
  const { name, gtin, weight, options } = given;
  return {
    ...now,
    // The spelling that is there stays, as the id does.
    sku: present?.sku ?? given.sku,
    currency,
    price: price === undefined ? (present?.price ?? 0) : minorOf(price, currency, `${path}price`),
    ...(compareAtPrice === undefined
      ? {}
      : {
          compareAtPrice:
            compareAtPrice === null ? null : minorOf(compareAtPrice, currency, `${path}compareAtPrice`),
        }),
    ...(name === undefined ? {} : { name }),
    ...(gtin === undefined ? {} : { gtin }),
    ...(weight === undefined ? {} : { weight }),
    ...(options === undefined ? {} : { options }),
  };
}

/** What an import decides: what must differ for a line to be a change. */
const decided = (product: ProductDocument): string =>
  JSON.stringify([
    product.name,
    product.slug,
    product.description,
    product.brand,
    product.status,
    product.categoryIds,
    product.categoryTree,
    (product.attrs ?? []).map(({ key, value, unit }) => [key, value, unit]),
    Object.entries(product.metadata ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    product.popularity,
    product.variants.map(({ sku, name, price, currency, compareAtPrice, gtin, weight, options }) => [
      sku,
      name,
      price,
      currency,
      compareAtPrice,
      gtin,
      weight,
      options.map((option) => [option.name, option.value]),
    ]),
  ]);

/** The product that a line makes or leaves. @throws AppError invalid_input */
function plan(
  deps: ProductDeps,
  { line, variants, skuKeys, slugKey }: GoodLine,
  categories: CategoryDocument[] | undefined,
  present: ProductDocument | undefined,
): Plan {
  const { name, slug, description, brand, status, attrs, metadata, popularity } = line;
  const pathOf = (index: number) => (line.variants === undefined ? "" : `variants.${index}.`);
  const said = {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(brand === undefined ? {} : { brand }),
    ...(status === undefined ? {} : { status }),
    ...(attrs === undefined ? {} : { attrs }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  if (present === undefined) {
    if (name === undefined) throw invalidInput("name", "required", "is needed for a new product");
    const input = {
      ...said,
      name,
      // Names repeat in real catalogues; the SKU makes the slug one of a kind.
      slug: slug ?? `${name.slice(0, 90)} ${variants[0]?.sku.slice(-8)}`,
      variants: variants.map((variant, index) => laidOver(deps, line, variant, undefined, pathOf(index))),
    };
    const product = buildProduct(deps, deps.random.id(), input, categories ?? []);
    return {
      outcome: "created",
      product: { ...product, popularity: popularity ?? 0 },
      newSkus: product.skuKeys ?? [],
    };
  }
  // A slug without a SKU means the only variant there is.
  const alone = line.variants === undefined && line.sku === undefined && slugKey === present.slugKey;
  if (alone && line.price !== undefined && present.variants.length !== 1) {
    throw invalidInput("price", "ambiguous", "needs the sku of one of the product's several variants");
  }
  const told = new Map(
    variants.map((variant, index) => [
      alone ? present.variants[0]?.skuKey : skuKeys[index],
      [variant, pathOf(index)] as const,
    ]),
  );
  const kept = present.variants.map((variant): InputVariant => {
    const found = told.get(variant.skuKey);
    const { _id, skuKey, ...now } = variant;
    return found ? laidOver(deps, line, found[0], variant, found[1]) : now;
  });
  const known = new Set(present.variants.map(({ skuKey }) => skuKey));
  const added = alone ? [] : [...told].filter(([skuKey]) => skuKey !== undefined && !known.has(skuKey));
  const all = [
    ...kept,
    ...added.map(([, [variant, path]]) => laidOver(deps, line, variant, undefined, path)),
  ];
  if (all.length > MAX_VARIANTS) {
    throw invalidInput("variants", "too_large", `would be more than ${MAX_VARIANTS}`);
  }
  const input = { ...inputOf(present), ...said, ...(slug === undefined ? {} : { slug }), variants: all };
  const next = rebuildProduct(deps, present, input, categories ?? []);
  if (popularity !== undefined) next.popularity = popularity;
  if (categories === undefined) {
    next.categoryIds = present.categoryIds;
    next.categoryTree = present.categoryTree;
  }
  if (decided(present) === decided(next)) return { outcome: "unchanged" };
  return {
    outcome: "updated",
    product: next,
    newSkus: added.flatMap(([skuKey]) => skuKey ?? []),
    givenAway: slugGivenAway(present, next),
  };
}

/** Somebody else wrote a product between the look-up and the write. */
class Missed extends Error {}

/** Imports the lines of one file. */
class Importer {
  readonly #categories = new Map<string, CategoryDocument>();
  /** Of a dry run: keys of products that it would have made or changed, as 48-bit hashes. */
  readonly #touched = new Set<number>();

  constructor(
    readonly deps: ProductDeps,
    readonly dryRun: boolean,
  ) {}

  /** The categories of the last lines, so that a file of thousands in a few categories does not ask for each. */
  async #categoriesOf(paths: string[][] | undefined): Promise<CategoryDocument[] | undefined> {
    if (paths === undefined) return undefined;
    const found: CategoryDocument[] = [];
    for (const path of paths) {
      const key = JSON.stringify(path);
      const known = this.#categories.get(key);
      const category =
        known ??
        (await ensureCategoryPath(
          this.deps,
          path,
          ...(this.dryRun ? [async (_: unknown, made: CategoryDocument) => made] : []),
        ));
      if (!known) {
        if (this.#categories.size >= KNOWN) this.#categories.clear();
        this.#categories.set(key, category);
      }
      if (!found.some(({ _id }) => _id === category._id)) found.push(category);
    }
    return found;
  }

  /** Reads again the categories that lines share with earlier ones: they may have moved or gone meanwhile. */
  async #refreshCategories(lines: GoodLine[]): Promise<void> {
    const keys = new Set(
      lines.flatMap(({ line }) => (line.categories ?? []).map((path) => JSON.stringify(path))),
    );
    const known = [...keys].flatMap((key) => {
      const category = this.#categories.get(key);
      return category ? [[key, category] as const] : [];
    });
    const now = await this.deps.categories.findByIds(known.map(([, { _id }]) => _id));
    for (const [key, { _id, path }] of known) {
      const category = now.get(_id);
      if (category?._id === _id && category.path === path) this.#categories.set(key, category);
      else this.#categories.delete(key);
    }
  }

  /** What a line is about now, and what is to be done. @throws AppError */
  async #decide(good: GoodLine, bySku: Map<string, ProductDocument>, bySlug: Map<string, ProductDocument>) {
    const owners = new Set(good.skuKeys.flatMap((skuKey) => bySku.get(skuKey) ?? []));
    if (owners.size > 1) {
      throw new AppError("conflict", "Its SKUs belong to several products.");
    }
    const [owner] = owners;
    const named = good.slugKey === undefined ? undefined : bySlug.get(good.slugKey);
    if (owner && named && owner._id !== named._id) {
      throw new AppError(
        "already_exists",
        "A product with this slug exists, and the SKU belongs to another.",
      );
    }
    const present = owner ?? named;
    let categories = await this.#categoriesOf(good.line.categories);
    // Attributes are held to the definitions of the categories, also of those that the line leaves alone.
    if (categories === undefined && good.line.attrs !== undefined && present?.categoryIds.length) {
      categories = await categoriesOf(this.deps, present.categoryIds, true);
    }
    return plan(this.deps, good, categories, present);
  }

  async #lookUp(lines: GoodLine[]) {
    const slugKeys = lines.flatMap(({ slugKey }) => slugKey ?? []);
    const [ofSkus, ofSlugs] = await Promise.all([
      this.deps.products.findBySkus(lines.flatMap(({ skuKeys }) => skuKeys)),
      slugKeys.length === 0 ? [] : this.deps.products.findBySlugs(slugKeys),
    ]);
    // One document for each product, whichever key found it.
    const byId = new Map([...ofSlugs, ...ofSkus].map((product) => [product._id, product]));
    const bySku = new Map<string, ProductDocument>();
    const bySlug = new Map<string, ProductDocument>();
    for (const product of byId.values()) {
      for (const { skuKey } of product.variants) bySku.set(skuKey, product);
      if (product.slugKey !== undefined) bySlug.set(product.slugKey, product);
    }
    return { bySku, bySlug };
  }

  /** Writes one product by itself, with the stock that its SKUs may have had before. */
  async #write({ outcome, product, givenAway = [] }: Exclude<Plan, { outcome: "unchanged" }>): Promise<void> {
    await this.deps.products.validateAll([product]);
    const signalId = this.deps.random.id();
    await this.deps.mongo.transaction(async (tx) => {
      if (outcome === "created") await this.deps.products.create(product, tx);
      else if (!(await this.deps.products.replace(product, product.version - 1, tx))) throw new Missed();
      await this.deps.formerSlugs.record(givenAway, product.updatedAt, tx);
      await signalProduct(this.deps, product, signalId, tx);
    });
  }

  /** Writes a line by itself, by what is there now: others may have written at the same moment. */
  async #again(good: GoodLine): Promise<Plan["outcome"] | ImportFault[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { bySku, bySlug } = await this.#lookUp([good]);
        const decision = await this.#decide(good, bySku, bySlug);
        if (decision.outcome === "unchanged") return "unchanged";
        if (decision.outcome === "created" && attempt > 1 && good.slugKey === undefined) {
          addSlugSuffix(this.deps, decision.product, decision.product.slug);
        }
        await this.#write(decision);
        return decision.outcome;
      } catch (error) {
        const changed =
          error instanceof Missed || (error instanceof AppError && error.code === "already_exists");
        if (!changed || attempt >= 3) {
          if (!(error instanceof Missed)) return refusal(good.read, error);
          return [
            { row: good.read.row, message: "somebody else keeps changing the product; import it again" },
          ];
        }
      }
    }
  }

  /** Imports lines that name different products. @returns for each what became of it */
  async run(lines: GoodLine[]): Promise<(Plan["outcome"] | ImportFault[])[]> {
    const { deps } = this;
    const results: (Plan["outcome"] | ImportFault[])[] = [];
    if (lines.length === 0) return results;
    // A dry run remembers categories that are not there, and writes none of them.
    if (!this.dryRun) await this.#refreshCategories(lines);
    const { bySku, bySlug } = await this.#lookUp(lines);
    const work: { place: number; good: GoodLine; decision: Exclude<Plan, { outcome: "unchanged" }> }[] = [];
    for (const [place, good] of lines.entries()) {
      try {
        const decision = await this.#decide(good, bySku, bySlug);
        if (this.dryRun && decision.outcome !== "unchanged") {
          await deps.products.validateAll([decision.product]);
        }
        results[place] = decision.outcome;
        if (decision.outcome !== "unchanged") work.push({ place, good, decision });
        if (this.dryRun && this.#wasTouched(good)) results[place] = "updated";
        else if (this.dryRun && decision.outcome !== "unchanged") this.#touch(good);
      } catch (error) {
        const refused = refusal(good.read, error);
        // What only a product that is there may leave out: an earlier row would have made it.
        const lacks = error instanceof AppError && error.errors?.every(({ code }) => code === "required");
        results[place] = this.dryRun && lacks && this.#wasTouched(good) ? "updated" : refused;
      }
    }
    if (this.dryRun) return results;
    // Seldom: SKUs of products that were deleted and left stock behind. A new SKU has no stock.
    const newSkus = work.flatMap(({ decision }) => decision.newSkus);
    const levelled = newSkus.length > 0 && (await deps.inventory.hasLevels(newSkus));
    const alone = levelled ? work.filter(({ decision }) => decision.newSkus.length > 0) : [];
    const together = levelled ? work.filter(({ decision }) => decision.newSkus.length === 0) : work;

    const added = together.filter(({ decision }) => decision.outcome === "created");
    if (added.length > 0) {
      const made = await deps.products
        .createMany(added.map(({ decision }) => decision.product))
        .catch((error: unknown) => {
          // One is refused and none was made: each by itself says which.
          if (!refusedFields(error)) throw error;
          return false;
        });
      if (!made) alone.push(...added);
    }
    const changed = together.filter(({ decision }) => decision.outcome === "updated");
    if (changed.length > 0) {
      const products = changed.map(({ decision }) => decision.product);
      const givenAway = changed.flatMap(({ decision }) => decision.givenAway ?? []);
      const now = deps.clock.now();
      const written = await deps.mongo
        .transaction(async (tx) => {
          if (!(await deps.products.replaceMany(products, tx))) throw new Missed();
          await deps.formerSlugs.record(givenAway, now, tx);
          return true;
        })
        .catch((error: unknown) => {
          const single =
            error instanceof Missed ||
            refusedFields(error) !== undefined ||
            (error instanceof AppError && error.status === 409);
          if (!single) throw error;
          return false;
        });
      if (!written) alone.push(...changed);
    }
    for (const { place, good } of alone) results[place] = await this.#again(good);
    return results;
  }

  #hashes({ skuKeys, slugKey }: GoodLine): number[] {
    const keys = [...skuKeys.map((key) => `k${key}`), ...(slugKey === undefined ? [] : [`s${slugKey}`])];
    return keys.map((key) => createHash("sha256").update(key).digest().readUIntBE(0, 6));
  }

  #wasTouched(good: GoodLine): boolean {
    return this.#hashes(good).some((hash) => this.#touched.has(hash));
  }

  #touch(good: GoodLine): void {
    for (const hash of this.#hashes(good)) this.#touched.add(hash);
  }
}

/**
 * Imports products from NDJSON or CSV as a stream: 25 at a time in memory. A product is found by a SKU or
 * its slug, so importing the same file twice changes nothing, and one that was interrupted can go on.
 * @param onBatch called when a batch is written, with the sums so far and the faults of the batch; what it
 * saves is good as `resume`
 */
export async function importProducts(
  deps: ProductDeps,
  stream: AsyncIterable<Uint8Array>,
  options: ImportOptions,
  onBatch: (progress: ImportProgress, faults: ImportFault[]) => Promise<void> | void,
): Promise<ImportProgress> {
  const { resume = NOTHING, signal } = options;
  const progress = { ...resume };
  const importer = new Importer(deps, options.dryRun === true);
  let bytes = 0;
  const counted = (async function* () {
    for await (const chunk of stream) {
      bytes += chunk.length;
      yield chunk;
    }
  })();
  // In the order of the file, so that its faults are told in that order.
  let pending: (GoodLine | ImportFault[])[] = [];
  let keys = new Set<string>();
  let size = 0;
  let row = resume.rows;
  const flush = async () => {
    signal?.throwIfAborted();
    const items = pending;
    pending = [];
    keys = new Set();
    size = 0;
    const results = await importer.run(items.filter((item): item is GoodLine => !Array.isArray(item)));
    const faults: ImportFault[] = [];
    let next = 0;
    for (const item of items) {
      const result = Array.isArray(item) ? item : (results[next++] ?? []);
      if (typeof result === "string") progress[result]++;
      else {
        progress.failed++;
        faults.push(...result);
      }
    }
    progress.rows = row;
    progress.bytes = Math.max(progress.bytes, bytes);
    await onBatch({ ...progress }, faults);
    if (options.dryRun !== true) await deps.search.maintain();
  };
  for await (const read of readProducts(options.format, counted)) {
    if (read.last <= resume.rows) continue;
    if (read.value !== undefined || read.fault !== undefined) {
      const checked = checkLine(read);
      if (!Array.isArray(checked)) {
        const own = [
          ...checked.skuKeys,
          ...(checked.slugKey === undefined ? [] : [`slug ${checked.slugKey}`]),
        ];
        // A product that comes twice is changed twice, in the order of the file.
        if (own.some((key) => keys.has(key))) await flush();
        for (const key of own) keys.add(key);
      }
      pending.push(checked);
      size += read.size;
    }
    row = read.last;
    if (pending.length >= BATCH || size >= BATCH_SIZE) await flush();
  }
  await flush();
  return progress;
}
