/** How good an order of results is. */

/** Discounted gain of grades in their order: 2^grade - 1, less the lower it stands. */
const gain = (grades: number[]): number =>
  grades.slice(0, 10).reduce((sum, grade, place) => sum + (2 ** grade - 1) / Math.log2(place + 2), 0);

/**
 * NDCG@10: 1 for the best possible ten in the best order. With nothing to find, 1 for an empty answer and else 0.
 * @param shown grades in the order of the results; @param all grades of all products
 */
export function ndcg(shown: number[], all: number[]): number {
  const best = gain(all.filter((grade) => grade > 0).sort((a, b) => b - a));
  if (best === 0) return shown.length === 0 ? 1 : 0;
  return gain(shown) / best;
}

/** How many of the products of the best grade there is are among the first `most` results. */
export function recall(shown: number[], all: number[], most = 100): number {
  const best = Math.max(0, ...all);
  if (best === 0) return shown.length === 0 ? 1 : 0;
  const there = all.filter((grade) => grade === best).length;
  return shown.slice(0, most).filter((grade) => grade === best).length / Math.min(there, most);
}

export const mean = (values: number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
