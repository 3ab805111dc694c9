/**
 * What lists show of a product without reading its variants and pictures: derived from them, and kept on the
 * product. Products that an earlier version wrote lack them; see `completeRows` in `items.ts` and `complete.ts`.
 */
import type { PictureDocument } from "./images/model";
import type { CoverPicture, ProductDocument, VariantDocument } from "./model";

/** 8, 12, 13 or 14 digits. */
export const GTIN = /^(?:\d{8}|\d{12,14})$/;

/** A GTIN in its form of 14 digits, in which those of 8, 12 and 13 begin with zeros (GS1 General Specifications, 7.9). */
export const gtinKeyOf = (gtin: string): string => gtin.padStart(14, "0");

/** The fields that are derived from variants. */
export type Shown = Required<
  Pick<ProductDocument, "priceMax" | "compareAtPrice" | "variantCount" | "optionNames">
> &
  Pick<ProductDocument, "gtinKeys">;

/**
 * What a list shows of these variants: amounts are minor units of the currency of `price`, which is the cheapest
 * variant's; variants in other currencies are in no range. The compare-at price is that of a cheapest variant.
 */
export function shownOf(
  variants: Pick<VariantDocument, "price" | "currency" | "compareAtPrice" | "gtin" | "options">[],
  { price, currency }: Pick<ProductDocument, "price" | "currency">,
): Shown {
  const comparable = variants.filter((variant) => variant.currency === currency);
  const before = comparable.flatMap((variant) =>
    variant.price === price && variant.compareAtPrice !== null ? variant.compareAtPrice : [],
  );
  const gtins = variants.flatMap(({ gtin }) => (gtin === null ? [] : gtinKeyOf(gtin)));
  return {
    priceMax: Math.max(price, ...comparable.map((variant) => variant.price)),
    compareAtPrice: before.length === 0 ? null : Math.max(...before),
    variantCount: variants.length,
    optionNames: [...new Set(variants.flatMap(({ options }) => options.map(({ name }) => name)))],
    ...(gtins.length === 0 ? {} : { gtinKeys: [...new Set(gtins)] }),
  };
}

/** What a product keeps of its first picture; null when it has none. */
export const coverOf = (picture: PictureDocument | undefined): CoverPicture | null =>
  picture === undefined
    ? null
    : {
        id: picture._id,
        alt: picture.alt,
        width: picture.width,
        height: picture.height,
        widths: picture.widths,
        avifWidths: picture.avifWidths,
      };
