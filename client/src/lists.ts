import type { List, ListOptions } from "./types.js";

interface Page<Item> {
  data: Item[];
  page: { nextCursor: string | null; hasMore: boolean };
}

/**
 * A list that is asked for page by page, the next one while this one is gone through.
 * @param load asks for a page, behind a cursor
 */
export function listOf<Item, P extends Page<Item>>(
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<P>,
  { prefetch = true, signal }: ListOptions,
): List<Item, P> {
  async function* pages(): AsyncIterableIterator<P> {
    const left = new AbortController();
    const either = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
    let next: Promise<P> | undefined = load(undefined, either);
    try {
      while (next) {
        const page: P = await next;
        const { nextCursor } = page.page;
        const more = () => (nextCursor === null ? undefined : load(nextCursor, either));
        next = prefetch ? more() : undefined;
        // It is looked at when its turn comes, if ever.
        next?.catch(() => undefined);
        yield page;
        next ??= more();
      }
    } finally {
      left.abort();
    }
  }
  async function* items(): AsyncGenerator<Item> {
    for await (const { data } of pages()) yield* data;
  }
  return {
    pages,
    [Symbol.asyncIterator]: items,
    async take(count) {
      const taken: Item[] = [];
      if (count <= 0) return taken;
      for await (const item of items()) if (taken.push(item) >= count) break;
      return taken;
    },
  };
}
