import { type Manager, managedEntry } from "../audit";
import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import type { ProductResponse } from "./answers";
import { auditDetailOf } from "./audited";
import { addSlugSuffix, buildProduct, categoriesOf, checkOptions } from "./build";
import type { ProductDeps } from "./deps";
import { toProduct } from "./mapper";
import type { CreateProduct } from "./schema";
import { KeyTaken } from "./store";

/** How many slugs are tried for a name that others have too. The first is written without a look: few are taken. */
const SLUG_TRIES = 4;

/**
 * Makes a product. A slug made from the name gets a suffix when it is taken; a given one is refused.
 * @param manager who makes it; null for the system
 * @throws AppError invalid_input, already_exists
 */
export async function createProduct(
  deps: ProductDeps,
  manager: Manager | null,
  input: CreateProduct,
  record: RecordAnswer<MongoTx>,
): Promise<ProductResponse> {
  const categories = await categoriesOf(deps, input.categoryIds ?? []);
  checkOptions(input.variants ?? []);
  const product = buildProduct(deps, deps.random.id(), input, categories);
  const signalId = deps.random.id();
  const audit = managedEntry(deps, manager, "product.created", auditDetailOf(product));
  const wanted = product.slug;
  for (let attempt = 1; ; attempt++) {
    if (attempt > 1 && (await deps.products.findBySlug(product.slugKey ?? ""))) {
      addSlugSuffix(deps, product, wanted);
    }
    try {
      const response = toProduct(product);
      await deps.creations.make({
        product,
        signalId,
        audit,
        record: (tx) => record(tx, response),
      });
      deps.jobs.wake();
      return response;
    } catch (error) {
      const slugTaken = error instanceof KeyTaken && error.key === "slug";
      if (!slugTaken || input.slug !== undefined || attempt >= SLUG_TRIES) throw error;
    }
  }
}
