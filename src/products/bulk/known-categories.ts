import type { CategoryDocument } from "../categories/model";
import { ensureCategoryPath } from "../categories/paths";
import type { ProductDeps } from "../deps";
import type { GoodLine } from "./check";

/** How many categories are remembered. */
const KNOWN = 10_000;

/** The categories of the last lines, so that a file of thousands in a few categories does not ask for each. */
export class KnownCategories {
  readonly #known = new Map<string, CategoryDocument>();

  constructor(
    readonly deps: ProductDeps,
    readonly dryRun: boolean,
  ) {}

  /** The categories of a line. @throws AppError when one cannot be made */
  async of(paths: string[][] | undefined): Promise<CategoryDocument[] | undefined> {
    if (paths === undefined) return undefined;
    const found: CategoryDocument[] = [];
    for (const path of paths) {
      const key = JSON.stringify(path);
      const known = this.#known.get(key);
      const category =
        known ??
        (await ensureCategoryPath(this.deps, path, this.dryRun ? async (_, made) => made : undefined));
      if (!known) {
        if (this.#known.size >= KNOWN) this.#known.clear();
        this.#known.set(key, category);
      }
      if (!found.some(({ _id }) => _id === category._id)) found.push(category);
    }
    return found;
  }

  /**
   * Reads again the categories that lines name: they may have moved or gone meanwhile.
   * @returns whether one has
   */
  async refresh(lines: GoodLine[]): Promise<boolean> {
    const keys = new Set(
      lines.flatMap(({ line }) => (line.categories ?? []).map((path) => JSON.stringify(path))),
    );
    const known = [...keys].flatMap((key) => {
      const category = this.#known.get(key);
      return category ? [[key, category] as const] : [];
    });
    const now = await this.deps.categories.findByIds(known.map(([, { _id }]) => _id));
    let changed = false;
    for (const [key, { _id, path }] of known) {
      const category = now.get(_id);
      if (category?._id === _id && category.path === path) this.#known.set(key, category);
      else {
        this.#known.delete(key);
        changed = true;
      }
    }
    return changed;
  }
}
