/** The records of a CSV file: RFC 4180, also with semicolons, tabs or bars, also in UTF-16. */
import { Parser } from "csv-parse";
import { BadCell } from "./cells";

/** Longest row, in bytes: a quotation mark that is never closed must not fill the memory. */
const MAX_ROW = 1024 * 1024;
/** Bytes that are parsed in one go. */
const STEP = 64 * 1024;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of bytes that were read one to one. @throws BadCell when they are not UTF-8 */
export const decode = (bytes: string): string => {
  if (!/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    return utf8.decode(Buffer.from(bytes, "latin1"));
  } catch {
    throw new BadCell("is not UTF-8");
  }
};

/** The encoding of a file by its first bytes: a byte order mark, or the zeros of UTF-16 around an ASCII letter. */
function encodingOf(start: Uint8Array): { encoding: "utf-8" | "utf-16le" | "utf-16be"; mark: number } {
  const [a, b, c] = start;
  if (a === 0xef && b === 0xbb && c === 0xbf) return { encoding: "utf-8", mark: 3 };
  if (a === 0xff && b === 0xfe) return { encoding: "utf-16le", mark: 2 };
  if (a === 0xfe && b === 0xff) return { encoding: "utf-16be", mark: 2 };
  if (a !== undefined && a !== 0 && b === 0) return { encoding: "utf-16le", mark: 0 };
  if (a === 0 && b !== undefined && b !== 0) return { encoding: "utf-16be", mark: 0 };
  return { encoding: "utf-8", mark: 0 };
}

/** The stream as UTF-8 without a byte order mark. @throws BadCell when it says UTF-16 and is not */
async function* asUtf8(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let start: Uint8Array | undefined = new Uint8Array(0);
  let decoder: TextDecoder | undefined;
  const convert = (bytes: Uint8Array | undefined): Uint8Array => {
    if (!decoder) return bytes ?? new Uint8Array(0);
    try {
      return Buffer.from(decoder.decode(bytes, { stream: bytes !== undefined }));
    } catch {
      throw new BadCell("is not UTF-16, although the file begins so");
    }
  };
  const begin = (bytes: Uint8Array): Uint8Array => {
    const { encoding, mark } = encodingOf(bytes);
    if (encoding !== "utf-8") decoder = new TextDecoder(encoding, { fatal: true });
    return convert(bytes.subarray(mark));
  };
  for await (const chunk of stream) {
    if (start === undefined) {
      yield convert(chunk);
      continue;
    }
    start = Buffer.concat([start, chunk]);
    if (start.length < 3) continue;
    yield begin(start);
    start = undefined;
  }
  if (start !== undefined) yield begin(start);
  if (decoder) yield convert(undefined);
}

/** What Excel writes in front of the header: how the file is separated. It shows no such line, so it counts as no row. */
const SEPARATOR = /^"?sep=([,;\t|])"?$/i;

/** The delimiter that the first line names, or has most of outside quotation marks. */
function delimiterOf(line: string): string {
  const [, named] = SEPARATOR.exec(line) ?? [];
  if (named !== undefined) return named;
  const bare = line.replace(/"(?:[^"]|"")*"/g, "");
  const counted = [",", ";", "\t", "|"].map((mark) => ({ mark, count: bare.split(mark).length }));
  return counted.reduce((most, next) => (next.count > most.count ? next : most)).mark;
}

const newParser = (delimiter: string, lineEnds: string[], onRecord: (record: string[]) => void) => {
  const parser = new Parser({
    delimiter,
    encoding: "latin1",
    record_delimiter: lineEnds,
    relax_column_count: true,
    // `5" pipe` is what people mean it to be.
    relax_quotes: true,
    on_record: (record: string[]) => {
      onRecord(record);
      return null;
    },
  });
  parser.on("error", () => undefined);
  return parser;
};

/** Waits for what a parser has not given out yet. @throws BadCell when the file ends in the midst of a cell */
const endOf = (parser: Parser): Promise<void> =>
  new Promise<void>((resolve, reject) => {
    parser.once("error", reject);
    parser.end(() => resolve());
  }).catch(() => {
    throw new BadCell("has a quotation mark that is not closed");
  });

/**
 * The records of a CSV file. Bytes are read one to one, so that what is not UTF-8 is a fault of its row alone.
 * @throws BadCell when it cannot go on; what was read before is given out first
 */
export async function* records(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  let ready: string[][] = [];
  let read = 0;
  let readAtRecord = 0;
  let parser: Parser | undefined;
  let head = Buffer.alloc(0);
  const write = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      parser?.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  const take = () => {
    const taken = ready;
    ready = [];
    return taken;
  };
  const step = async (bytes: Uint8Array) => {
    read += bytes.length;
    if (parser) return write(bytes);
    head = Buffer.concat([head, bytes]);
    const isEnded = /\n|\r[^\n]/.test(head.toString("latin1"));
    if (!isEnded && head.length < MAX_ROW) return;
    parser = start();
    await write(head);
  };
  const start = () => {
    const text = head.toString("latin1");
    const [line = ""] = text.split(/[\r\n]/, 1);
    // Spreadsheets of old Macs end lines with a carriage return alone.
    const lineEnds = /^[^\n]*?\r(?!\n)/.test(text) ? ["\r"] : ["\r\n", "\n"];
    let isNote = SEPARATOR.test(line);
    return newParser(delimiterOf(line), lineEnds, (record) => {
      if (!isNote) ready.push(record);
      isNote = false;
      readAtRecord = read;
    });
  };
  try {
    for await (const bytes of asUtf8(stream)) {
      for (let from = 0; from < bytes.length; from += STEP) {
        await step(bytes.subarray(from, from + STEP));
        yield* take();
        if (read - readAtRecord > MAX_ROW) {
          throw new BadCell(
            `is longer than ${MAX_ROW} bytes; a quotation mark may be open. What follows was not read`,
          );
        }
      }
    }
    if (!parser) {
      parser = start();
      if (head.length > 0) await write(head);
    }
    await endOf(parser);
    yield* take();
  } finally {
    parser?.destroy();
  }
}
