/** Values kept in memory up to a number of bytes; what was not asked for longest goes first. */
export class ByteCache {
  readonly #entries = new Map<string, { value: unknown; bytes: number }>();
  #bytes = 0;

  constructor(readonly most: number) {}

  get<T>(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    // A Map is in the order of insertion.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value as T;
  }

  /** @param bytes about how much memory the value takes */
  set<T>(key: string, value: T, bytes: number): T {
    const before = this.#entries.get(key);
    if (before) this.#bytes -= before.bytes;
    this.#entries.delete(key);
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.most) break;
      this.#entries.delete(oldest);
      this.#bytes -= entry.bytes;
    }
    return value;
  }
}
