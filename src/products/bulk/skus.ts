/** SKUs of what names none. */
import { createHash } from "node:crypto";
import { canonicalKey, slugify } from "../../lib/text";
import type { ImportLine } from "./line";

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/**
 * The SKU of a line that names none: from what identifies it (its picture too, since catalogues hold several
 * products of one name), so that the same file gives the same SKUs again and a second import changes nothing.
 */
export const derivedSku = (line: ImportLine): string =>
  `I-${hashOf(
    JSON.stringify([
      line.slug ?? canonicalKey(line.name ?? ""),
      line.brand ?? null,
      line.categories ?? [],
      line.image ?? null,
    ]),
  )
    .slice(0, 16)
    .toUpperCase()}`;

/** Longest parts of a derived SKU: of its slug, and of options. */
const [MAX_BASE, MAX_SUFFIX] = [80, 40];

interface Option {
  name: string;
  value: string;
}

/** The part of a slug that stands in SKUs; a hash tells long ones apart. */
const shortened = (slug: string): string =>
  slug.length <= MAX_BASE ? slug : `${slug.slice(0, MAX_BASE - 7)}-${hashOf(slug).slice(0, 6)}`;

/** The SKU of a variant that names none: of its product's slug, or what else identifies it, and its options. */
export const derivedVariantSku = (line: ImportLine, options: Option[]): string =>
  skuWithOptions(line.slug === undefined ? derivedSku(line) : shortened(line.slug).toUpperCase(), options);

/**
 * A SKU of what identifies the product, and options. Options that cannot be read from it are told apart by a hash.
 * @example skuWithOptions("SHIRT", [{ name: "Size", value: "M" }]) // "SHIRT-M"
 */
export function skuWithOptions(base: string, options: Option[]): string {
  const values = options.map(({ value }) => value).join(" ");
  const suffix = slugify(values).slice(0, MAX_SUFFIX).toUpperCase();
  const isWhole = canonicalKey(suffix) === canonicalKey(values).replaceAll(" ", "-");
  const hash = hashOf(canonicalKey(JSON.stringify(options)));
  return [base, suffix, isWhole ? "" : hash.slice(0, 6).toUpperCase()]
    .filter((part) => part !== "")
    .join("-");
}
