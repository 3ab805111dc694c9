import type { CategoryDocument } from "./model";

/** What a product's place in the tree is told with. */
export type Place = Pick<CategoryDocument, "_id" | "name" | "slug" | "path" | "ancestors">;

/** One step of a trail through the tree. */
export const crumbOf = ({ _id, name, slug, path }: Place) => ({ id: _id, name, slug, path });
