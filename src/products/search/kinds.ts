/** What kinds of things there are, and how far each is an accessory, from what the names of products say. */
import type { KindCount, ReadSegment } from "./builder";
import type { Kind } from "./match";

/** How likely a thing of a head, or of a category, is made for another; with less than this many it is not known. */
const ENOUGH = 5;

/**
 * Says of each kind how far it is an accessory: the more things of its head or of its categories are "for" something,
 * the more. In tenths, so that one product more or less changes little.
 * @param learnt the segments that the kinds are learnt from
 */
export function kindsOf(learnt: ReadSegment[]): (segment: ReadSegment) => Kind[] {
  const heads = new Map<string, [number, number]>();
  const categories = new Map<string, [number, number]>();
  const add = (map: Map<string, [number, number]>, key: string, { count, targeted }: KindCount) => {
    const sums = map.get(key) ?? [0, 0];
    sums[0] += count;
    sums[1] += targeted;
    map.set(key, sums);
  };
  for (const { columns } of learnt) {
    for (const kind of columns.kinds) {
      add(heads, kind.head, kind);
      for (const id of kind.categoryIds) add(categories, id, kind);
    }
  }
  const share = (sums: [number, number] | undefined): number =>
    sums === undefined || sums[0] < ENOUGH ? 0 : sums[1] / sums[0];
  return ({ columns }) =>
    columns.kinds.map(({ head, categories: names, categoryIds }) => ({
      head,
      categories: names,
      accessory:
        Math.round(
          Math.max(share(heads.get(head)), ...categoryIds.map((id) => share(categories.get(id)))) * 10,
        ) / 10,
    }));
}
