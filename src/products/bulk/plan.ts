/** What is to be done about a line, by what is there. */
import { AppError, invalidInput } from "../../lib/errors";
import { formatMinor, minorDigits, parseMinor } from "../../lib/money";
import { canonicalKey } from "../../lib/text";
import { buildProduct, checkOptions, inputOf, optionKey, rebuildProduct, slugGivenAway } from "../build";
import type { CategoryDocument } from "../categories/model";
import type { ProductDeps } from "../deps";
import { MAX_VARIANTS } from "../fields";
import type { ProductDocument, VariantDocument } from "../model";
import type { CreateProduct } from "../schema";
import type { GoodLine, NamedVariant } from "./check";
import type { ImportLine } from "./line";
import { maybeThousands, mayStandFor, twoMeanings } from "./numbers";

/** What is to be done about a line. */
export type Plan =
  | {
      outcome: "created" | "updated";
      product: ProductDocument;
      newSkus: string[];
      /** The slug that the product gives away, if it does. */
      givenAway?: { slugKey: string; productId: string }[];
    }
  | { outcome: "unchanged"; product: ProductDocument };

/**
 * Minor units of a decimal text.
 * @param isTable of CSV, where nothing said that a point before three digits is a decimal one
 * @throws AppError invalid_input
 */
function minorOf(decimal: string, currency: string, path: string, isTable = false): number {
  const amount = parseMinor(decimal, currency);
  if (amount !== null && isTable && minorDigits(currency) < 3 && maybeThousands(decimal.trim())) {
    throw invalidInput(path, "ambiguous", twoMeanings(decimal.trim()));
  }
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
  { line, read: { isTable } }: GoodLine,
  given: NamedVariant,
  present: VariantDocument | undefined,
  path: string,
): InputVariant {
  const currency = given.currency ?? line.currency ?? present?.currency ?? deps.config.defaultCurrency;
  const { price, compareAtPrice, sign } = given;
  if (sign !== undefined && !mayStandFor(sign, currency)) {
    throw invalidInput(`${path}price`, "ambiguous", `says ${sign}, and the currency is ${currency}`);
  }
  if (price === undefined && present === undefined) {
    throw invalidInput(`${path}price`, "required", "is needed for a new variant");
  }
  if (present && currency !== present.currency && price === undefined) {
    throw invalidInput(`${path}price`, "required", "is needed with another currency");
  }
  // An amount of one currency is none of another.
  if (
    present &&
    currency !== present.currency &&
    compareAtPrice === undefined &&
    present.compareAtPrice !== null
  ) {
    throw invalidInput(
      `${path}compareAtPrice`,
      "required",
      "is needed with another currency; empty for none",
    );
  }
  const { _id, skuKey, ...now } = present ?? ({} as Partial<VariantDocument>);
  const { name, gtin, weight, options } = given;
  return {
    ...now,
    // The spelling that is there stays, as the id does.
    sku: present?.sku ?? given.sku,
    currency,
    price: price === undefined ? (present?.price ?? 0) : minorOf(price, currency, `${path}price`, isTable),
    ...(compareAtPrice === undefined
      ? {}
      : {
          compareAtPrice:
            compareAtPrice === null
              ? null
              : minorOf(compareAtPrice, currency, `${path}compareAtPrice`, isTable),
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

/**
 * Refuses a line that would give a product another name or slug: it is another product that has its SKU or slug.
 * @throws AppError already_exists
 */
function refuseRename({ line, slugKey }: GoodLine, present: ProductDocument): void {
  const renamed = line.name !== undefined && canonicalKey(line.name) !== canonicalKey(present.name);
  const moved = slugKey !== undefined && slugKey !== present.slugKey;
  if (!renamed && !moved) return;
  const key = moved || slugKey === undefined ? "The SKU is that" : `The slug ${slugKey} is that`;
  throw new AppError(
    "already_exists",
    `${key} of "${present.name}" (${present.slug}), which would get another ${renamed ? "name" : "slug"}. ` +
      "Give this row its own, or ask for renaming (--allow-rename, allowRename=true).",
  );
}

/** What the fields of a line say, as those of a product. */
const fieldsOf = ({ name, description, brand, status, attrs, metadata }: ImportLine) => ({
  ...(name === undefined ? {} : { name }),
  ...(description === undefined ? {} : { description }),
  ...(brand === undefined ? {} : { brand }),
  ...(status === undefined ? {} : { status }),
  ...(attrs === undefined ? {} : { attrs }),
  ...(metadata === undefined ? {} : { metadata }),
});

const pathOf = (line: ImportLine, index: number) => (line.variants === undefined ? "" : `variants.${index}.`);

/** The product that a line makes. @throws AppError invalid_input */
function planNew(deps: ProductDeps, good: GoodLine, categories: CategoryDocument[]): Plan {
  const { line, variants } = good;
  const { name, slug, popularity } = line;
  if (name === undefined) throw invalidInput("name", "required", "is needed for a new product");
  const input = {
    ...fieldsOf(line),
    name,
    // Names repeat in real catalogues; the SKU makes the slug one of a kind.
    slug: slug ?? `${name.slice(0, 90)} ${variants[0]?.sku.slice(-8)}`,
    variants: variants.map((variant, index) => laidOver(deps, good, variant, undefined, pathOf(line, index))),
  };
  checkOptions(input.variants);
  const product = buildProduct(deps, deps.random.id(), input, categories);
  return {
    outcome: "created",
    product: { ...product, popularity: popularity ?? 0 },
    newSkus: product.skuKeys ?? [],
  };
}

/**
 * The variants of a product as a line leaves them. A variant is found by its SKU; one that names none by its options.
 * @throws AppError invalid_input
 */
function variantsAfter(deps: ProductDeps, good: GoodLine, present: ProductDocument) {
  const { line, variants, skuKeys, slugKey } = good;
  // A slug without a SKU means the only variant there is.
  const alone = line.variants === undefined && line.sku === undefined && slugKey === present.slugKey;
  if (alone && line.price !== undefined && present.variants.length !== 1) {
    throw invalidInput("price", "ambiguous", "needs the sku of one of the product's several variants");
  }
  const named = new Set(skuKeys);
  const byOptions = new Map(
    present.variants
      .filter(({ options }) => options.length > 0)
      .map((variant) => [optionKey(variant.options), variant]),
  );
  const keyOf = (variant: NamedVariant, index: number) => {
    if (alone) return present.variants[0]?.skuKey;
    const found =
      variant.derived && variant.options ? byOptions.get(optionKey(variant.options))?.skuKey : undefined;
    return found !== undefined && !named.has(found) ? found : skuKeys[index];
  };
  const told = new Map(
    variants.map((variant, index) => [keyOf(variant, index), [variant, pathOf(line, index)] as const]),
  );
  const kept = present.variants.map((variant): InputVariant => {
    const found = told.get(variant.skuKey);
    const { _id, skuKey, ...now } = variant;
    return found ? laidOver(deps, good, found[0], variant, found[1]) : now;
  });
  const known = new Set(present.variants.map(({ skuKey }) => skuKey));
  const added = alone ? [] : [...told].filter(([skuKey]) => skuKey !== undefined && !known.has(skuKey));
  const all = [
    ...kept,
    ...added.map(([, [variant, path]]) => laidOver(deps, good, variant, undefined, path)),
  ];
  if (all.length > MAX_VARIANTS) {
    throw invalidInput("variants", "too_large", `would be more than ${MAX_VARIANTS}`);
  }
  // Options that nobody sent are not held to a rule that may be younger.
  if (added.length > 0 || variants.some(({ options }) => options !== undefined)) checkOptions(all);
  return { all, newSkus: added.flatMap(([skuKey]) => skuKey ?? []) };
}

/**
 * The product that a line makes or leaves.
 * @throws AppError invalid_input, already_exists when it would be renamed and nobody asked for it
 */
export function plan(
  deps: ProductDeps,
  good: GoodLine,
  categories: CategoryDocument[] | undefined,
  present: ProductDocument | undefined,
  allowRename: boolean,
): Plan {
  if (present === undefined) return planNew(deps, good, categories ?? []);
  if (!allowRename) refuseRename(good, present);
  const { slug, popularity } = good.line;
  const { all, newSkus } = variantsAfter(deps, good, present);
  const input = {
    ...inputOf(present),
    ...fieldsOf(good.line),
    ...(slug === undefined ? {} : { slug }),
    variants: all,
  };
  const next = rebuildProduct(deps, present, input, categories ?? []);
  if (popularity !== undefined) next.popularity = popularity;
  if (categories === undefined) {
    next.categoryIds = present.categoryIds;
    next.categoryTree = present.categoryTree;
  }
  if (decided(present) === decided(next)) return { outcome: "unchanged", product: present };
  return { outcome: "updated", product: next, newSkus, givenAway: slugGivenAway(present, next) };
}
