/** The compressed files of a backup. */
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline, Readable } from "node:stream";
import { pipeline as finished } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";

/** Writes a new file, for its owner alone, that is on the disk when this ends. */
export const writePacked = (path: string, parts: AsyncIterable<string | Uint8Array>): Promise<void> =>
  finished(
    Readable.from(parts),
    createGzip({ level: 3 }),
    createWriteStream(path, { mode: 0o600, flags: "wx", flush: true }),
  );

/** The bytes of such a file. @throws Error while they are read, when it cannot be read or unpacked */
export const unpacked = (path: string): AsyncIterable<Buffer> =>
  // The last stream gets the error of any of them, and gives it to whoever reads.
  pipeline(createReadStream(path), createGunzip(), () => undefined);
