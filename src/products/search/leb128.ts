/** Whole numbers as bytes, of different lengths: small ones take one. */

/** Writes whole numbers, small ones in one byte (LEB128). */
export class Writer {
  #bytes = new Uint8Array(16);
  length = 0;

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + more));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }

  number(value: number): void {
    this.#room(5);
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.length++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.#bytes[this.length++] = rest;
  }

  /** How many numbers there are, and each as its distance from the one before. */
  ascending(values: readonly number[]): void {
    this.number(values.length);
    let before = 0;
    for (const value of values) {
      this.number(value - before);
      before = value;
    }
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.length++] = value;
  }

  bytes(values: Uint8Array): void {
    this.#room(values.length);
    this.#bytes.set(values, this.length);
    this.length += values.length;
  }

  /** Four bytes, which may be set again. @param at where they were written */
  word(value: number, at = this.length): void {
    if (at === this.length) {
      this.#room(4);
      this.length += 4;
    }
    for (let index = 0; index < 4; index++) this.#bytes[at + index] = value >>> (index * 8);
  }

  /** What was written so far, good until more is written. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  clear(): void {
    this.length = 0;
  }
}

/** Reads what `Writer` wrote. */
export class Reader {
  constructor(
    readonly data: Uint8Array,
    public at = 0,
  ) {}

  word(): number {
    const { data, at } = this;
    this.at += 4;
    const byte = (index: number) => data[at + index] as number;
    return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
  }

  /** Passes over numbers: the last byte of each is the one below 128. */
  skip(numbers: number): void {
    const { data } = this;
    for (let left = numbers; left > 0; left--) while ((data[this.at++] as number) > 127);
  }

  number(): number {
    const { data } = this;
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[this.at++] as number;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
}
