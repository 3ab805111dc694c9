/**
 * A pure function of a text that remembers its last results: for what the same few texts are given to again and again,
 * such as the user agent and the page of the events of a batch.
 * @param compute what it gives must not be changed by whoever gets it
 * @param most texts that are remembered; above it all are forgotten
 * @example const isBot = remembered(isbot, 200);
 */
export function remembered<Result>(
  compute: (text: string) => Result,
  most: number,
): (text: string) => Result {
  const results = new Map<string, Result>();
  return (text) => {
    const known = results.get(text);
    if (known !== undefined) return known;
    const result = compute(text);
    if (results.size >= most) results.clear();
    results.set(text, result);
    return result;
  };
}
