/**
 * Values kept in memory up to a number of bytes; what was not asked for since it was last spared goes first (second
 * chance, which is nearly least recently used, and leaves nothing to be moved when something is asked for).
 */
export class ByteCache {
  readonly #entries = new Map<string, { value: unknown; bytes: number; asked: boolean }>();
  #bytes = 0;

  constructor(readonly most: number) {}

  get<T>(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    entry.asked = true;
    return entry.value as T;
  }

  /** @param bytes about how much memory the value takes; what takes more than the whole cache is not kept */
  set<T>(key: string, value: T, bytes: number): T {
    const before = this.#entries.get(key);
    if (before) this.#bytes -= before.bytes;
    this.#entries.delete(key);
    if (bytes > this.most) return value;
    // A Map is in the order of insertion, and what is inserted meanwhile is reached last.
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes + bytes <= this.most) break;
      this.#entries.delete(oldest);
      if (entry.asked) {
        entry.asked = false;
        this.#entries.set(oldest, entry);
      } else this.#bytes -= entry.bytes;
    }
    this.#entries.set(key, { value, bytes, asked: false });
    this.#bytes += bytes;
    return value;
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }

  /** Forgets what nobody will ask for any more. */
  keepOnly(wanted: (key: string) => boolean): void {
    for (const [key, { bytes }] of this.#entries) {
      if (wanted(key)) continue;
      this.#entries.delete(key);
      this.#bytes -= bytes;
    }
  }
}
