/**
 * Lets a test run something at a chosen moment: just before or just after a named call of a store, so that a
 * race happens every time and not now and then. Stores come from `deps`, so only this test's application is
 * changed, and only until the returned function is called.
 *
 *   const undo = around(t.deps.products, "replace", { before: () => somebodyElseEdits() });
 */
export function around<Store extends object>(
  store: Store,
  name: {
    [Name in keyof Store]: Store[Name] extends (...words: never[]) => Promise<unknown> ? Name : never;
  }[keyof Store],
  hooks: {
    before?: () => Promise<unknown> | unknown;
    after?: () => Promise<unknown> | unknown;
    /** How many calls are interrupted; the first one by default, so that a callback may use the same store. */
    times?: number;
  },
): () => void {
  const original = store[name] as (...words: unknown[]) => Promise<unknown>;
  let left = hooks.times ?? 1;
  const changed = async (...words: unknown[]) => {
    if (left <= 0) return original(...words);
    left--;
    await hooks.before?.();
    const result = await original(...words);
    await hooks.after?.();
    return result;
  };
  const undo = () => {
    store[name] = original as Store[typeof name];
  };
  store[name] = changed as Store[typeof name];
  return undo;
}

/** A gate: `wait` holds whoever comes until `open` is called. */
export function gate(): { wait: () => Promise<void>; open: () => void; reached: Promise<void> } {
  const opened = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  return {
    wait: () => {
      reached.resolve();
      return opened.promise;
    },
    open: () => opened.resolve(),
    reached: reached.promise,
  };
}
