import { invalidInput } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import type { ProductResponse } from "./answers";
import { categoriesOf, checkOptions, inputOf, rebuildProduct } from "./build";
import { placeIn } from "./categories/product-trees";
import type { ProductDeps } from "./deps";
import { toProduct } from "./mapper";
import type { ProductDocument } from "./model";
import { type ReplaceOptions, replaceProduct } from "./replace";
import type { ChangeProduct, CreateProduct } from "./schema";

/** Variants that name no currency keep the one they have: their amounts are said in it. */
const withOwnCurrencies = (
  { variants, currency }: ProductDocument,
  given: NonNullable<CreateProduct["variants"]>,
): NonNullable<CreateProduct["variants"]> =>
  given.map((variant) => {
    const skuKey = canonicalKey(variant.sku);
    const own = variants.find((one) =>
      variant.id === undefined ? one.skuKey === skuKey : one._id === variant.id,
    );
    return { ...variant, currency: variant.currency ?? own?.currency ?? currency };
  });

/**
 * The variants of a change: `price` alone is the price of the only one. Another currency needs new amounts: 49.00 USD
 * are not 4,900 JPY.
 * @throws AppError invalid_input
 */
function changedVariants(product: ProductDocument, change: ChangeProduct): CreateProduct["variants"] {
  const { price, currency } = change;
  if (change.variants !== undefined) {
    return currency === undefined ? withOwnCurrencies(product, change.variants) : change.variants;
  }
  const { variants = [] } = inputOf(product);
  if (price !== undefined && variants.length !== 1) {
    throw invalidInput(
      "price",
      "ambiguous",
      "cannot be set for a product with several variants; send variants",
    );
  }
  const converted = variants.filter((variant) => currency !== undefined && variant.currency !== currency);
  if (
    converted.length > 0 &&
    (variants.length > 1 || converted.some(({ compareAtPrice }) => compareAtPrice))
  ) {
    throw invalidInput("variants", "required", "are needed with another currency, with their prices");
  }
  if (converted.length > 0 && price === undefined) {
    throw invalidInput("price", "required", "is needed with another currency");
  }
  return variants.map((variant) => ({
    ...variant,
    ...(price === undefined ? {} : { price }),
    ...(currency === undefined ? {} : { currency }),
  }));
}

/** What a change makes of a product. @throws AppError invalid_input */
async function changed(
  deps: ProductDeps,
  present: ProductDocument,
  change: ChangeProduct,
  whole: boolean,
): Promise<ProductDocument> {
  const placed = whole || change.categoryIds !== undefined;
  // A category that nobody sent and that is gone is no fault of the caller's: the product is no longer in it.
  const categories = placed
    ? await categoriesOf(deps, change.categoryIds ?? [])
    : await categoriesOf(deps, present.categoryIds, true);
  const { categoryIds: _, price, ...fields } = change;
  const input = whole
    ? {
        // An address and a currency are not given up by leaving them out.
        ...{ slug: present.slug, currency: present.currency, ...fields },
        ...{ price, name: change.name ?? present.name },
        ...(change.variants === undefined ? {} : { variants: changedVariants(present, change) }),
      }
    : { ...inputOf(present), ...fields, variants: changedVariants(present, change) };
  // What nobody sent is not held to rules that may be younger.
  if (change.variants !== undefined) checkOptions(change.variants);
  const held = placed || change.attrs !== undefined ? categories : [];
  return { ...rebuildProduct(deps, present, input, held), ...placeIn(categories) };
}

/**
 * Changes a part of a product, or all of it when `whole`. Its slug stays when its name changes; a variant keeps
 * its id, which it is named by, or else by its SKU. A variant of another SKU takes its stock along.
 * @param key its id or slug, in canonical form
 * @throws AppError not_found, precondition_failed, version_conflict, already_exists, invalid_input; conflict when a
 * variant with stock would be taken away
 */
export async function changeProduct(
  deps: ProductDeps,
  key: string,
  change: ChangeProduct,
  options: ReplaceOptions,
  whole = false,
): Promise<ProductResponse> {
  return toProduct(
    await replaceProduct(deps, key, options, (present) => changed(deps, present, change, whole)),
  );
}
