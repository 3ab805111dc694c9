/** The variants of a product, one at a time. */
import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { AppError, invalidInput } from "../lib/errors";
import type { ProductVariantResponse } from "./answers";
import { checkOptions, inputOf, rebuildProduct } from "./build";
import type { ProductDeps } from "./deps";
import { MAX_VARIANTS } from "./fields";
import { toVariant } from "./mapper";
import type { ProductDocument } from "./model";
import { type ReplaceOptions, replaceProduct } from "./replace";
import type { ChangeVariant, CreateProduct, CreateVariant } from "./schema";

type GivenVariants = NonNullable<CreateProduct["variants"]>;

/** Changes of two variants of one product at the same moment do not refuse each other. */
const TRIES = 5;

/** Faults of a variant among others, as faults of the one that was sent. */
function ownFaults(error: unknown): unknown {
  if (!(error instanceof AppError) || error.errors === undefined) return error;
  return new AppError(error.code, error.detail, {
    errors: error.errors.map((fault) => ({ ...fault, path: fault.path.replace(/^variants\.\d+\./, "") })),
  });
}

/** The product with other variants; its categories stay as they are. @throws AppError invalid_input */
function withVariants(
  deps: ProductDeps,
  present: ProductDocument,
  decide: (variants: GivenVariants) => GivenVariants,
): ProductDocument {
  const input = inputOf(present);
  try {
    const variants = decide(input.variants ?? []);
    const next = rebuildProduct(deps, present, { ...input, variants }, []);
    checkOptions(next.variants);
    return { ...next, categoryIds: present.categoryIds, categoryTree: present.categoryTree };
  } catch (error) {
    throw ownFaults(error);
  }
}

const noVariant = () => new AppError("not_found", "The product has no such variant.");

function answerOf(product: ProductDocument, variantId: string): ProductVariantResponse {
  const variant = product.variants.find(({ _id }) => _id === variantId);
  if (!variant) throw noVariant();
  return { ...toVariant(variant), productId: product._id, version: product.version };
}

const lastOf = (product: ProductDocument) => product.variants.at(-1)?._id ?? "";

/**
 * Adds a variant behind the others.
 * @throws AppError not_found, precondition_failed, version_conflict, already_exists, invalid_input
 */
export async function addVariant(
  deps: ProductDeps,
  key: string,
  input: CreateVariant,
  options: Pick<ReplaceOptions, "manager" | "expected">,
  record: RecordAnswer<MongoTx>,
): Promise<ProductVariantResponse> {
  const next = await replaceProduct(
    deps,
    key,
    { tries: TRIES, ...options, record: (tx, made) => record(tx, answerOf(made, lastOf(made))) },
    (present) =>
      withVariants(deps, present, (variants) => {
        if (variants.length >= MAX_VARIANTS) {
          throw invalidInput("sku", "too_large", `there are ${MAX_VARIANTS} variants; a product has no more`);
        }
        return [...variants, { currency: present.currency, ...input }];
      }),
  );
  return answerOf(next, lastOf(next));
}

/**
 * Changes a part of a variant. Another SKU takes its stock, its reservations and their history along; another currency
 * needs its prices.
 * @throws AppError not_found, precondition_failed, version_conflict, already_exists, invalid_input, conflict when the
 * other SKU has stock of its own
 */
export async function changeVariant(
  deps: ProductDeps,
  key: string,
  variantId: string,
  change: ChangeVariant,
  options: Pick<ReplaceOptions, "manager" | "expected">,
): Promise<ProductVariantResponse> {
  const next = await replaceProduct(deps, key, { tries: TRIES, ...options }, (present) =>
    withVariants(deps, present, (variants) => {
      if (!variants.some(({ id }) => id === variantId)) throw noVariant();
      return variants.map((variant) => {
        if (variant.id !== variantId) return variant;
        const converted = change.currency !== undefined && change.currency !== variant.currency;
        if (converted && change.price === undefined) {
          throw invalidInput("price", "required", "is needed with another currency");
        }
        if (converted && change.compareAtPrice === undefined && variant.compareAtPrice) {
          throw invalidInput("compareAtPrice", "required", "is needed with another currency; null for none");
        }
        return { ...variant, ...change };
      });
    }),
  );
  return answerOf(next, variantId);
}

/**
 * Takes a variant away.
 * @throws AppError not_found, precondition_failed, version_conflict; conflict for the last one, or when it has stock
 * that is not to be left behind
 */
export async function removeVariant(
  deps: ProductDeps,
  key: string,
  variantId: string,
  options: Pick<ReplaceOptions, "manager" | "expected" | "leaveStock">,
): Promise<void> {
  await replaceProduct(deps, key, { tries: TRIES, ...options }, (present) =>
    withVariants(deps, present, (variants) => {
      const left = variants.filter(({ id }) => id !== variantId);
      if (left.length === variants.length) throw noVariant();
      if (left.length === 0) {
        throw new AppError("conflict", "A product has at least one variant. Delete the product instead.");
      }
      return left;
    }),
  );
}
