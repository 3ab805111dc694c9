/**
 * For a statement with a place for each value: it is prepared for each number of places, so that number is made a power
 * of two, with the first value once more in the places left over. The statement must not mind a value that repeats.
 * @example fewLengths([1, 2, 3]) // [1, 2, 3, 1]
 */
export const fewLengths = <Value>(values: readonly Value[]): Value[] =>
  values.length === 0
    ? []
    : Array.from(
        { length: 2 ** Math.ceil(Math.log2(values.length)) },
        (_, index) => values[index < values.length ? index : 0] as Value,
      );
