/** Columns of numbers as bytes, each entry in one, two, four or eight. */

/** Packs numbers in the smallest form that holds them all. */
export function packNumbers(values: ArrayLike<number>): Uint8Array {
  let most = 0;
  let whole = true;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    if (!Number.isInteger(value) || value < 0) whole = false;
    if (value > most) most = value;
  }
  const size = !whole || most >= 2 ** 32 ? 8 : most >= 2 ** 16 ? 4 : most >= 2 ** 8 ? 2 : 1;
  const list =
    size === 8
      ? new Float64Array(values.length)
      : size === 4
        ? new Uint32Array(values.length)
        : size === 2
          ? new Uint16Array(values.length)
          : new Uint8Array(values.length);
  list.set(values as ArrayLike<never>);
  const bytes = new Uint8Array(1 + list.byteLength);
  bytes[0] = size;
  bytes.set(new Uint8Array(list.buffer), 1);
  return bytes;
}

/** Numbers of a column. */
export type Numbers = Float64Array | Uint32Array | Uint16Array | Uint8Array;

/** Reads what `packNumbers` wrote, on the kind of machine that wrote it (all that Bun runs on are little-endian). */
export function unpackNumbers(bytes: Uint8Array): Numbers {
  // A copy, because a list of wider numbers must begin at a multiple of their size.
  const { buffer } = new Uint8Array(bytes.subarray(1));
  if (bytes[0] === 8) return new Float64Array(buffer);
  if (bytes[0] === 4) return new Uint32Array(buffer);
  return bytes[0] === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer);
}
