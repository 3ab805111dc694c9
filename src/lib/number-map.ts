/** How full the arrays may be, and by how much they grow then. */
const FULL = 0.85;
const GROWTH = 1.3;

/**
 * Numbers by numbers, in two flat arrays (open addressing, linear probing): a `Map` of a million takes more memory, and
 * doubles it at once when it grows.
 * Keys are whole numbers from 0 to 2^53 - 1 that are spread evenly, such as hashes.
 */
export class NumberMap {
  #size = 0;
  /** Each key plus one; 0 where there is none. */
  #keys = new Float64Array(1024);
  #values = new Float64Array(1024);

  get size(): number {
    return this.#size;
  }

  /** Where a key is, or would be put. */
  #placeOf(key: number): number {
    const { length } = this.#keys;
    let place = key % length;
    while (this.#keys[place] !== 0 && this.#keys[place] !== key + 1)
      place = place + 1 === length ? 0 : place + 1;
    return place;
  }

  get(key: number): number | undefined {
    const place = this.#placeOf(key);
    return this.#keys[place] === 0 ? undefined : this.#values[place];
  }

  set(key: number, value: number): void {
    if (this.#size >= this.#keys.length * FULL) this.#grow();
    const place = this.#placeOf(key);
    if (this.#keys[place] === 0) this.#size++;
    this.#keys[place] = key + 1;
    this.#values[place] = value;
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    const length = Math.ceil(keys.length * GROWTH);
    this.#keys = new Float64Array(length);
    this.#values = new Float64Array(length);
    for (let index = 0; index < keys.length; index++) {
      if (keys[index] === 0) continue;
      const place = this.#placeOf((keys[index] as number) - 1);
      this.#keys[place] = keys[index] as number;
      this.#values[place] = values[index] as number;
    }
  }
}
