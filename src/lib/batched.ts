/** What became of one of several that were done together. */
export type Outcome<Value> = { ok: true; value: Value } | { ok: false; error: unknown };

/**
 * Joins what comes while the same is under way: a call that finds a free place goes at once, so nobody waits for
 * company; those that find none go together with the next.
 * @param run does several, and gives an outcome for each in their order; what it throws becomes of all of them
 * @param limits.atOnce runs under way at once
 * @param limits.most items of one run
 * @param limits.patience how long a run may keep others waiting, in milliseconds; one that takes longer goes on beside
 * the next; for ever when left out
 * @example const insert = batched(insertAll, { atOnce: 2, most: 100 }); await insert(document);
 */
export function batched<Item, Value>(
  run: (items: Item[]) => Promise<Outcome<Value>[]>,
  { atOnce, most, patience }: { atOnce: number; most: number; patience?: number },
): (item: Item) => Promise<Value> {
  let waiting: { item: Item; resolve: (value: Value) => void; reject: (error: unknown) => void }[] = [];
  let running = 0;
  const start = async (): Promise<void> => {
    if (running >= atOnce || waiting.length === 0) return;
    running++;
    let isOver = false;
    const leave = () => {
      if (isOver) return;
      isOver = true;
      running--;
      void start();
    };
    const timer = patience === undefined ? undefined : setTimeout(leave, patience);
    const taken = waiting.slice(0, most);
    waiting = waiting.slice(most);
    try {
      const outcomes = await run(taken.map(({ item }) => item));
      for (const [index, { resolve, reject }] of taken.entries()) {
        const outcome = outcomes[index];
        if (outcome?.ok) resolve(outcome.value);
        else reject(outcome?.error ?? new Error("a batch left an item out"));
      }
    } catch (error) {
      for (const { reject } of taken) reject(error);
    } finally {
      clearTimeout(timer);
      leave();
    }
  };
  return (item) =>
    new Promise<Value>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      void start();
    });
}
