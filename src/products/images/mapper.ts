import type { CoverPicture } from "../model";
import type { PictureDocument } from "./model";
import type { PictureResponse } from "./schema";

/** A picture's files with their addresses: by format, the smallest first. */
function sourcesOf(
  productId: string,
  { id, widths, avifWidths }: Pick<CoverPicture, "id" | "widths" | "avifWidths">,
) {
  const sources = (format: "avif" | "webp", of: number[]) =>
    of
      .toSorted((a, b) => a - b)
      .map((width) => ({
        type: `image/${format}`,
        width,
        url: `/api/products/${productId}/images/${id}/${width}.${format}`,
      }));
  return [...sources("avif", avifWidths), ...sources("webp", widths)];
}

export const toPicture = (picture: PictureDocument): PictureResponse => ({
  id: picture._id,
  alt: picture.alt,
  variantIds: picture.variantIds ?? [],
  position: picture.position,
  width: picture.width,
  height: picture.height,
  version: picture.version,
  sources: sourcesOf(picture.productId, { ...picture, id: picture._id }),
  createdAt: picture.createdAt.toISOString(),
});

/** The picture that lists show of a product. */
export const toCover = (productId: string, cover: CoverPicture) => ({
  id: cover.id,
  alt: cover.alt,
  width: cover.width,
  height: cover.height,
  sources: sourcesOf(productId, cover),
});
