import { createHash } from "node:crypto";
import { AppError, refusedFields } from "../../lib/errors";
import { addSlugSuffix, categoriesOf } from "../build";
import type { CategoryDocument } from "../categories/model";
import { ensureCategoryPath } from "../categories/paths";
import type { ProductDeps } from "../deps";
import type { ProductDocument } from "../model";
import { signalProduct } from "../stock-signal";
import { type GoodLine, refusal } from "./check";
import { type Plan, plan } from "./plan";
import type { ImportFault } from "./shapes";

/** How many categories are remembered. */
const KNOWN = 10_000;

/** Somebody else wrote a product between the look-up and the write. */
class Missed extends Error {}

/** Imports the lines of one file. */
export class Importer {
  readonly #categories = new Map<string, CategoryDocument>();
  /** Of a dry run: keys of products that it would have made or changed, as 48-bit hashes. */
  readonly #touched = new Set<number>();

  constructor(
    readonly deps: ProductDeps,
    readonly dryRun: boolean,
    readonly allowRename: boolean,
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
    return plan(this.deps, good, categories, present, this.allowRename);
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
