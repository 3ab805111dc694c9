import { S3Client } from "bun";
import type { Config } from "../config";
import { checkKey, type Storage } from "./storage";

/** Bytes of one part of an upload; S3 wants at least 5 MB. */
const PART = 8 * 1024 * 1024;

/** Files in an S3-compatible store, with Bun's own client. */
export function createS3Storage(settings: NonNullable<Config["s3"]>): Storage {
  const client = new S3Client(settings);
  return {
    async put(key, bytes, type) {
      await client.write(checkKey(key), bytes, { type });
    },
    async putStream(key, stream, type) {
      const writer = client.file(checkKey(key)).writer({ type, partSize: PART, queueSize: 1 });
      let size = 0;
      let sent = 0;
      try {
        for await (const chunk of stream) {
          size += chunk.length;
          await writer.write(chunk);
          // Waits until the part is away, so that a fast sender does not fill the memory.
          if (size - sent >= PART) {
            await writer.flush();
            sent = size;
          }
        }
      } catch (error) {
        // Bun's client has no way to give an upload up: it is ended, and what came is removed.
        // What that says is of no account beside the error that led here.
        await Promise.allSettled([Promise.resolve(writer.end(error as Error))]);
        await Promise.allSettled([client.delete(key)]);
        throw error;
      }
      await writer.end();
      return size;
    },
    async get(key) {
      const file = client.file(checkKey(key));
      const stat = await file.stat().catch((error: { code?: string }) => {
        if (error.code === "NoSuchKey" || error.code === "NotFound") return null;
        throw error;
      });
      return stat && { body: file.stream(), size: stat.size };
    },
    async removeAll(prefix) {
      for (;;) {
        const listed = await client.list({ prefix: `${checkKey(prefix)}/`, maxKeys: 1000 });
        const keys = listed.contents?.map(({ key }) => key) ?? [];
        await Promise.all(keys.map((key) => client.delete(key)));
        if (!listed.isTruncated) return;
      }
    },
  };
}
