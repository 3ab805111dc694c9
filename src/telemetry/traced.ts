import type { Tracing } from "./tracing";

const isPlain = (value: unknown): value is object =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/**
 * A store whose calls are spans named after it, such as `users.findByEmail`; stores inside it too. Without tracing it is
 * the store itself, so that nothing is paid.
 */
function traced<T extends object>(tracing: Tracing | undefined, name: string, store: T): T {
  if (tracing === undefined) return store;
  const wrapped = new Map<PropertyKey, unknown>();
  return new Proxy(store, {
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, receiver);
      if (typeof key === "symbol" || (typeof value !== "function" && !isPlain(value))) return value;
      const path = `${name}.${key}`;
      const made =
        wrapped.get(key) ??
        (typeof value === "function"
          ? (...words: unknown[]) => tracing.call(path, () => Reflect.apply(value, target, words))
          : traced(tracing, path, value));
      wrapped.set(key, made);
      return made;
    },
  });
}

/** Stores, each traced by the name that it has among them. */
export const tracedEach = <T extends Record<string, object>>(tracing: Tracing | undefined, stores: T): T =>
  Object.fromEntries(
    Object.entries(stores).map(([name, store]) => [name, traced(tracing, name, store)]),
  ) as T;
