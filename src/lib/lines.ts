/** The byte of a line feed. */
const LINE_FEED = 10;

/**
 * Cuts bytes into lines at `\n` and at nothing else, and holds one line at a time. Not `node:readline`, which ends a
 * line at `\r`, U+2028 and U+2029 as well: a text that somebody chose may hold those.
 * @param bytes UTF-8, such as a file's stream
 * @returns each line without its `\n`; the last one needs none
 * @example for await (const line of linesOf(createReadStream("list.ndjson"))) JSON.parse(line)
 */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      parts.push(chunk.subarray(start, end));
      yield Buffer.concat(parts).toString();
      parts = [];
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
  }
  const rest = Buffer.concat(parts);
  if (rest.length > 0) yield rest.toString();
}
