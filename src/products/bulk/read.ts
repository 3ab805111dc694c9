import { readCsv, surveyCsv } from "./csv";
import { readNdjson } from "./ndjson";
import type { Format, ReadLine } from "./shapes";
import { type OtherShop, readShop } from "./shops/read";
import type { Source } from "./source";

export type { Source } from "./source";

/**
 * Reads the products of a file as a stream: a row, or the rows of one product, at a time in memory.
 * @param other the shop system whose CSV it is, when it is not our own
 */
export async function* readProducts(
  format: Format,
  open: Source,
  onChunk: (bytes: number) => void,
  other?: OtherShop,
): AsyncGenerator<ReadLine> {
  if (other) {
    yield* readShop(other, open, (stream) => counted(stream, onChunk));
    return;
  }
  const styles = format === "csv" ? await surveyCsv(await open()) : undefined;
  const stream = counted(await open(), onChunk);
  yield* format === "csv" ? readCsv(stream, styles) : readNdjson(stream);
}

async function* counted(stream: AsyncIterable<Uint8Array>, onChunk: (bytes: number) => void) {
  for await (const chunk of stream) {
    onChunk(chunk.length);
    yield chunk;
  }
}
