import { mutate } from "../../audit";
import { AppError, invalidInput } from "../../lib/errors";
import type { ProductDeps } from "../deps";
import type { CategoryDocument } from "./model";
import { isNamed, MAX_DEPTH, newCategory, otherSlugOf } from "./rules";

/** Creates a missing category, or finds it; null when its parent has moved or gone. */
type Make = (deps: ProductDeps, category: CategoryDocument) => Promise<CategoryDocument | null>;

/** How often a path is walked again when its categories move at the same moment. */
const PATH_TRIES = 5;

/**
 * The category at the end of a path of names; missing ones are created. Safe when many callers do it at once, because a
 * path is unique.
 * @param make creates a missing one; a dry run passes a function that does not
 * @throws AppError invalid_input for a path that is empty, deeper than eight, or has a name without letters;
 * conflict when others keep moving what is on it
 */
export async function ensureCategoryPath(
  deps: ProductDeps,
  names: string[],
  make: Make = makeCategory,
): Promise<CategoryDocument> {
  if (names.length === 0 || names.length > MAX_DEPTH) {
    throw invalidInput(
      "categories",
      "too_deep",
      `must name 1 to ${MAX_DEPTH} categories, one inside the other`,
    );
  }
  for (let attempt = 1; attempt <= PATH_TRIES; attempt++) {
    const last = await walkPath(deps, names, make);
    if (last) return last;
  }
  throw new AppError("conflict", "Somebody else keeps moving the categories of this path. Try again.");
}

/** @returns null when a category of the path moved or went meanwhile */
async function walkPath(deps: ProductDeps, names: string[], make: Make): Promise<CategoryDocument | null> {
  let parent: CategoryDocument | null = null;
  for (const name of names) {
    let made: CategoryDocument = newCategory(deps, parent, { name }, "categories");
    let there = await deps.categories.findByPath(made.path);
    // C++ and C# give one slug, and are two categories.
    if (there && !isNamed(there, name)) {
      made = newCategory(deps, parent, { name, slug: otherSlugOf(name) }, "categories");
      there = await deps.categories.findByPath(made.path);
    }
    parent = there ?? (await make(deps, made));
    if (parent === null) return null;
  }
  return parent;
}

const makeCategory: Make = (deps, made) =>
  mutate(deps, "mongo", {}, async (tx) => {
    await deps.categories.guard(tx);
    const present = await deps.categories.findByPath(made.path, tx);
    if (present) return isNamed(present, made.name) ? present : null;
    if (made.parentId !== null) {
      const parent = await deps.categories.findById(made.parentId, tx);
      const there =
        made.path === `${parent?.path}/${made.slug}` &&
        made.ancestors.join() === [...(parent?.ancestors ?? []), made.parentId].join();
      if (!there) return null;
    }
    await deps.categories.create(made, tx);
    return made;
  });
