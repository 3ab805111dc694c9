import type { CategoryDocument } from "./model";

/** What a product's place in the tree is told with. */
export type Place = Pick<CategoryDocument, "_id" | "name" | "slug" | "path" | "ancestors">;

/** One step of a trail through the tree. */
export const crumbOf = ({ _id, name, slug, path }: Place) => ({ id: _id, name, slug, path });

/** The categories of these ids that are there, each once: two ids may stand for one. */
export const pickEach = <Kind extends { _id: string }>(known: Map<string, Kind>, ids: string[]): Kind[] => [
  ...new Map(ids.flatMap((id) => known.get(id) ?? []).map((place) => [place._id, place])).values(),
];
