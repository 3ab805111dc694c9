import { isDeepStrictEqual } from "node:util";
import { type Manager, managedEntry, mutate } from "../../audit";
import { canonicalKey } from "../../lib/text";
import { type ExpectedVersions, expectVersion, staleVersion } from "../../lib/versions";
import type { ProductDeps } from "../deps";
import { toCategoryResponse } from "./mapper";
import { relocate } from "./move";
import { attributesOf, requireCategory, slugOf } from "./rules";
import type { CategoryResponse, ChangeCategory } from "./schema";

const FIELDS = ["name", "slug", "position", "attributes"] as const;

/**
 * Changes a category's name, slug, place among its siblings, or what its products may say of themselves. Another
 * slug changes the paths below.
 * @throws AppError not_found, precondition_failed, already_exists, invalid_input
 */
export async function changeCategory(
  deps: ProductDeps,
  manager: Manager | null,
  id: string,
  { slug, attributes, name, position }: ChangeCategory,
  expected: ExpectedVersions,
): Promise<CategoryResponse> {
  const jobId = deps.random.id();
  const audit = managedEntry(deps, manager, "category.changed");
  return mutate(deps, "mongo", { audit }, async (tx, { tell }) => {
    await deps.categories.guard(tx);
    const category = await requireCategory(deps, id, tx);
    expectVersion(expected, category.version);
    let present = category;
    if (slug !== undefined && canonicalKey(slug) !== category.slug) {
      const parent = category.parentId === null ? null : await requireCategory(deps, category.parentId, tx);
      const change = { slug: slugOf(slug, "slug"), position: category.position };
      present = await relocate(deps, category, parent, change, tx);
    }
    const changed = await deps.categories.update(
      id,
      present.version,
      {
        ...(name === undefined ? {} : { name }),
        ...(position === undefined ? {} : { position }),
        ...(attributes === undefined ? {} : { attributes: attributesOf(attributes) }),
      },
      deps.clock.now(),
      tx,
    );
    if (!changed) throw staleVersion(present.version);
    // Products are found by the names of their categories.
    if (changed.name !== category.name) {
      const job = { id: jobId, kind: "categories.reindex", payload: { categoryId: id } };
      await deps.jobs.mongo.enqueue({ ...job, runAt: deps.clock.now() }, tx);
    }
    const fields = FIELDS.filter((field) => !isDeepStrictEqual(category[field], changed[field]));
    tell({ id, name: changed.name, path: changed.path, fields });
    return toCategoryResponse(changed);
  });
}
