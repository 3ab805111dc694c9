import { jsonFault } from "./json-fault";
import type { ReadLine } from "./shapes";

/** Longest line, in bytes: a file without line breaks must not fill the memory. */
const MAX_LINE = 1024 * 1024;

/**
 * Cuts a stream of bytes into lines and holds one at a time. A line that is too long or not UTF-8 is given
 * as an error, not thrown, so that the others still count.
 */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ text: string } | { error: string }> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let parts: Uint8Array[] = [];
  let length = 0;
  let tooLong = false;
  const flush = (): { text: string } | { error: string } => {
    const bytes = Buffer.concat(parts);
    const wasTooLong = tooLong;
    parts = [];
    length = 0;
    tooLong = false;
    if (wasTooLong) return { error: `is longer than ${MAX_LINE} bytes` };
    try {
      return { text: decoder.decode(bytes) };
    } catch {
      return { error: "is not UTF-8" };
    }
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      if (!tooLong) parts.push(chunk.subarray(start, end));
      yield flush();
      start = end + 1;
    }
    const rest = chunk.subarray(start);
    length += rest.length;
    if (length > MAX_LINE) {
      tooLong = true;
      parts = [];
    } else if (rest.length > 0) {
      parts.push(rest.slice());
    }
  }
  if (length > 0 || tooLong) yield flush();
}

/**
 * Windows-1252 read as Latin-1 leaves C1 controls where signs such as ™ were. They mean nothing else in text,
 * so they are read as HTML reads them (WHATWG "numeric character reference end state").
 */
const repairControls = (text: string): string =>
  text.replace(/[\u0080-\u009f]/g, (char) =>
    new TextDecoder("windows-1252").decode(Uint8Array.of(char.charCodeAt(0))),
  );

/** A line that has a C1 control, as it is or escaped. */
const CONTROL = /[\u0080-\u009f]|\\u00[89]/i;

/** Reads NDJSON: one product a line. Blank lines count and say nothing. */
export async function* readNdjson(stream: AsyncIterable<Uint8Array>): AsyncGenerator<ReadLine> {
  let row = 0;
  for await (const raw of readLines(stream)) {
    row++;
    if ("error" in raw) {
      yield { row, last: row, size: 0, fault: raw.error };
    } else if (raw.text.trim() === "") {
      yield { row, last: row, size: 0 };
    } else {
      try {
        // Looking at each text makes reading several times as long: few lines have any such sign.
        const value = CONTROL.test(raw.text)
          ? JSON.parse(raw.text, (_key, part) => (typeof part === "string" ? repairControls(part) : part))
          : JSON.parse(raw.text);
        const fault = jsonFault(raw.text, value);
        yield fault === undefined
          ? { row, last: row, size: raw.text.length, value }
          : { row, last: row, size: 0, fault };
      } catch {
        yield { row, last: row, size: 0, fault: "is not valid JSON" };
      }
    }
  }
}
