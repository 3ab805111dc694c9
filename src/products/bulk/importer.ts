import { createHash } from "node:crypto";
import { mutate } from "../../audit";
import { duplicateKey } from "../../db/mongo";
import { AppError, refusedFields } from "../../lib/errors";
import { addSlugSuffix, categoriesOf } from "../build";
import type { ProductDeps } from "../deps";
import type { ProductDocument } from "../model";
import type { Prepared } from "../search/engine";
import { signalProduct } from "../stock-signal";
import { type GoodLine, refusal } from "./check";
import { KnownCategories } from "./known-categories";
import { type Plan, plan } from "./plan";
import type { ImportFault } from "./shapes";

/**
 * What became of a line, or why it was refused. Only in a dry run is there no product, where an earlier line would have
 * made it.
 */
export type Result = { outcome: Plan["outcome"]; product?: ProductDocument } | ImportFault[];

/** A line that is to be written. */
interface Work {
  place: number;
  good: GoodLine;
  decision: Exclude<Plan, { outcome: "unchanged" }>;
}

/** Lines that were decided on, and are not written yet. */
export interface Decided {
  lines: GoodLine[];
  results: Result[];
  /** New products, and those that change, each with what the search made ready of them. */
  created: Together;
  updated: Together;
  /** What has to be written one by one. */
  alone: Work[];
}

interface Together {
  work: Work[];
  prepared?: Prepared;
}

/** Somebody else wrote a product between the look-up and the write. */
class Missed extends Error {}

/** Whether one of those written together cannot be as it stands: each by itself says which. */
const isOfOne = (error: unknown): boolean =>
  error instanceof Missed ||
  refusedFields(error) !== undefined ||
  duplicateKey(error) !== undefined ||
  (error instanceof AppError && error.status === 409);

/** Imports the lines of one file. */
export class Importer {
  readonly #categories: KnownCategories;
  /** Of a dry run: keys of products that it would have made or changed, as 48-bit hashes. */
  readonly #touched = new Set<number>();
  /** Whether there was no product when it began: then the first line about one finds none. */
  #wasEmpty: Promise<boolean> | undefined;

  constructor(
    readonly deps: ProductDeps,
    readonly dryRun: boolean,
    readonly allowRename: boolean,
  ) {
    this.#categories = new KnownCategories(deps, dryRun);
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
    let categories = await this.#categories.of(good.line.categories);
    // Attributes are held to the definitions of the categories, also of those that the line leaves alone.
    if (categories === undefined && good.line.attrs !== undefined && present?.categoryIds.length) {
      categories = await categoriesOf(this.deps, present.categoryIds, true);
    }
    return plan(this.deps, good, categories, present, this.allowRename);
  }

  /**
   * What there is of the products that lines name. Of an empty shop nothing is looked up but what an earlier line may
   * have made: if somebody else makes the same product meanwhile, the unique keys say so, and each line is written by
   * what is there then.
   */
  async #lookUpAll(lines: GoodLine[]) {
    this.#wasEmpty ??= this.deps.products.isEmpty();
    return this.#lookUp((await this.#wasEmpty) ? lines.filter(({ isFirst }) => isFirst !== true) : lines);
  }

  async #lookUp(lines: GoodLine[]) {
    if (lines.length === 0) return { bySku: new Map(), bySlug: new Map() };
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
    await mutate(this.deps, "mongo", {}, async (tx) => {
      if (outcome === "created") await this.deps.products.create([product], tx);
      else if (!(await this.deps.products.replace(product, product.version - 1, tx))) throw new Missed();
      await this.deps.formerSlugs.record(givenAway, product.updatedAt, tx);
      await signalProduct(this.deps, product, signalId, tx);
    });
  }

  /** Writes a line by itself, by what is there now: others may have written at the same moment. */
  async #again(good: GoodLine): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { bySku, bySlug } = await this.#lookUp([good]);
        const decision = await this.#decide(good, bySku, bySlug);
        if (decision.outcome === "unchanged") return decision;
        if (decision.outcome === "created" && attempt > 1 && good.slugKey === undefined) {
          addSlugSuffix(this.deps, decision.product, decision.product.slug);
        }
        await this.#write(decision);
        return decision;
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

  /** Decides on each line by itself. @returns what is to be written */
  async #decideAll(lines: GoodLine[], results: Result[]): Promise<Work[]> {
    const { bySku, bySlug } = await this.#lookUpAll(lines);
    const work: Work[] = [];
    for (const [place, good] of lines.entries()) {
      try {
        const decision = await this.#decide(good, bySku, bySlug);
        results[place] = decision;
        if (decision.outcome !== "unchanged") work.push({ place, good, decision });
        if (this.dryRun) results[place] = await this.#pretend(good, decision);
      } catch (error) {
        const refused = refusal(good.read, error);
        // What only a product that is there may leave out: an earlier row would have made it.
        const lacks = error instanceof AppError && error.errors?.every(({ code }) => code === "required");
        results[place] = this.dryRun && lacks && this.#wasTouched(good) ? { outcome: "updated" } : refused;
      }
    }
    return work;
  }

  /** What a dry run says of a line: an earlier one may have made its product. */
  async #pretend(good: GoodLine, decision: Plan): Promise<Result> {
    if (decision.outcome !== "unchanged") await this.deps.products.validateAll([decision.product]);
    if (this.#wasTouched(good)) return { ...decision, outcome: "updated" };
    if (decision.outcome !== "unchanged") this.#touch(good);
    return decision;
  }

  /** Makes new products together. @returns those that have to be made one by one */
  async #createAll({ work, prepared }: Together): Promise<Work[]> {
    if (work.length === 0) return [];
    const products = work.map(({ decision }) => decision.product);
    try {
      await mutate(this.deps, "mongo", {}, (tx) => this.deps.products.create(products, tx, prepared));
      return [];
    } catch (error) {
      if (!isOfOne(error)) throw error;
      return work;
    }
  }

  /** Changes products together. @returns those that have to be changed one by one */
  async #replaceAll({ work, prepared }: Together): Promise<Work[]> {
    if (work.length === 0) return [];
    const { deps } = this;
    const givenAway = work.flatMap(({ decision }) => decision.givenAway ?? []);
    const now = deps.clock.now();
    try {
      await mutate(deps, "mongo", {}, async (tx) => {
        const products = work.map(({ decision }) => decision.product);
        if (!(await deps.products.replaceMany(products, tx, prepared))) throw new Missed();
        await deps.formerSlugs.record(givenAway, now, tx);
      });
      return [];
    } catch (error) {
      if (!isOfOne(error)) throw error;
      return work;
    }
  }

  /** Products that are written together, with what the search needs of them outside of the transaction. */
  async #together(work: Work[]): Promise<Together> {
    if (work.length === 0) return { work };
    return { work, prepared: await this.deps.search.prepare(work.map(({ decision }) => decision.product)) };
  }

  /**
   * Decides on lines that name different products, and makes ready what is to be written. May run while lines before
   * them are written, unless they share a SKU or slug with those.
   */
  async decide(lines: GoodLine[]): Promise<Decided> {
    const results: Result[] = [];
    const work = lines.length === 0 ? [] : await this.#decideAll(lines, results);
    if (this.dryRun) return { lines, results, created: { work: [] }, updated: { work: [] }, alone: [] };
    const isNew = ({ decision }: Work) => decision.outcome === "created";
    const newSkus = work.flatMap(({ decision }) => decision.newSkus);
    const [levelled, created, updated] = await Promise.all([
      newSkus.length > 0 && this.deps.inventory.hasLevels(newSkus),
      this.#together(work.filter(isNew)),
      this.#together(work.filter((one) => !isNew(one))),
    ]);
    if (!levelled) return { lines, results, created, updated, alone: [] };
    // Seldom: SKUs of products that were deleted and left stock behind. A new SKU has no stock.
    const isAlone = ({ decision }: Work) => decision.newSkus.length > 0;
    const together = work.filter((one) => !isAlone(one));
    return {
      lines,
      results,
      created: { work: together.filter(isNew) },
      updated: { work: together.filter((one) => !isNew(one)) },
      alone: work.filter(isAlone),
    };
  }

  /** Writes what was decided. @returns for each line what became of it */
  async write({ lines, results, created, updated, alone }: Decided): Promise<Result[]> {
    if (this.dryRun || lines.length === 0) return results;
    const left = [...alone, ...(await this.#createAll(created)), ...(await this.#replaceAll(updated))];
    for (const { place, good } of left) results[place] = await this.#again(good);
    // Whoever moves or removes a category from now on finds these products in it; what went before is made good.
    if (await this.#categories.refresh(lines)) {
      for (const [place, good] of lines.entries()) {
        const before = results[place];
        if (before === undefined || Array.isArray(before)) continue;
        const again = await this.#again(good);
        const isSame = !Array.isArray(again) && again.outcome === "unchanged";
        results[place] = Array.isArray(again)
          ? again
          : { ...again, outcome: isSame || before.outcome === "created" ? before.outcome : again.outcome };
      }
    }
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
