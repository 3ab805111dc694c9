/** Keys are kept by the server for 24 hours; after less than that nobody means the same change any more. */
const LIFETIME = 12 * 3600_000;
const MOST = 100;

/** What makes two bodies the same: of a file its name, size and time. */
const contentOf = (body: unknown): string =>
  JSON.stringify(body instanceof FormData ? [...body] : [body], (_, value) =>
    value instanceof Blob ? [(value as File).name, value.size, (value as File).lastModified] : value,
  );

/**
 * Idempotency keys of changes whose end is not known: whoever makes the same change once more, because the first try
 * broke off, sends the same key, so that it is done once.
 */
export class Keys {
  readonly #open = new Map<string, { key: string; at: number }>();

  /** The key for a change. @param given the caller's own */
  take(url: string, body: unknown, given: string | undefined): { key: string; done(known: boolean): void } {
    const change = `${url}\n${contentOf(body)}`;
    const kept = this.#open.get(change);
    // Taken out while the change is under way: the same change at the same time is another one.
    this.#open.delete(change);
    const key = given ?? (kept && Date.now() - kept.at < LIFETIME ? kept.key : crypto.randomUUID());
    return {
      key,
      done: (known) => {
        if (known) return;
        this.#open.set(change, { key, at: Date.now() });
        const [oldest] = this.#open.keys();
        if (this.#open.size > MOST && oldest !== undefined) this.#open.delete(oldest);
      },
    };
  }
}
