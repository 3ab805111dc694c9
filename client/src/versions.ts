/** What was read, so that a change can say on which version it stands. */
export interface Read {
  etag: string;
  data: unknown;
}

/** Most addresses that are remembered. */
const MOST = 200;

/** Proxies that compress make a tag weak, and a weak one is good for no change (RFC 9110 §8.8.1). */
const strong = (etag: string): string => etag.replace(/^W\//, "");

/** Remembers the versions of what was read, by what was given and by address. */
export class Versions {
  readonly #of = new WeakMap<object, Read>();
  readonly #at = new Map<string, Read>();

  remember(url: string, etag: string, data: unknown): void {
    const read = { etag: strong(etag), data };
    if (typeof data === "object" && data !== null) this.#of.set(data, read);
    this.#at.delete(url);
    this.#at.set(url, read);
    const [oldest] = this.#at.keys();
    if (this.#at.size > MOST && oldest !== undefined) this.#at.delete(oldest);
  }

  /**
   * The version on which a change stands.
   * @param given something that was read, an ETag, or undefined for what was last read at the address
   * @throws TypeError for something that has no version
   */
  of(url: string, given: object | string | undefined): Partial<Read> {
    if (given === undefined) return this.#at.get(url) ?? {};
    if (typeof given === "string") return { ...this.#at.get(url), etag: given };
    const { version } = given as { version?: unknown };
    const read = this.#of.get(given);
    if (read) return read;
    if (typeof version !== "number")
      throw new TypeError("ifMatch: this was not read with an ETag and has no version");
    return { etag: `"v${version}"`, data: given };
  }

  /** After a change: what was read at the address, above and below it may be another version now. */
  forget(url: string): void {
    for (const known of this.#at.keys())
      if (`${url}/`.startsWith(`${known}/`) || known.startsWith(`${url}/`)) this.#at.delete(known);
  }

  clear(): void {
    this.#at.clear();
  }
}

/** Names of the fields of the first level that differ. */
export function differences(one: unknown, other: unknown): string[] {
  const before = (one ?? {}) as Record<string, unknown>;
  const after = (other ?? {}) as Record<string, unknown>;
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) =>
      !/^(version|updatedAt)$/.test(name) && JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  );
}
