/**
 * The parts of a list, one after the other.
 * @param size of each, the last one excepted
 * @example for (const part of chunksOf(ids, 200)) await store.remove(part);
 */
export function* chunksOf<T>(list: readonly T[], size: number): Generator<T[]> {
  for (let from = 0; from < list.length; from += size) yield list.slice(from, from + size);
}
