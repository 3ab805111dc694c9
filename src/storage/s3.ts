import { S3Client } from "bun";
import type { Config } from "../config";
import { createPulse } from "../db/pulse";
import { chunksOf } from "../lib/chunks";
import { within } from "../lib/within";
import { checkKey, type Storage, StorageUnavailable, streamOf } from "./storage";

/** Bytes of one part of an upload; S3 wants at least 5 MB. */
const PART = 8 * 1024 * 1024;
/** How long one step of a call may take beside what its bytes need, in milliseconds. */
const PATIENCE = 2500;
/** The slowest that bytes may go, in bytes a millisecond: a quarter of a megabyte a second. */
const SLOWEST = 256;
/** Files that are removed at once. */
const AT_ONCE = 100;

/**
 * Files in an S3-compatible store, with Bun's own client. That has no time limit, so each step has one: the store counts
 * as away when it makes no progress, and not when a large file takes long.
 */
export function createS3Storage(settings: NonNullable<Config["s3"]>): Storage {
  const client = new S3Client(settings);
  // Any answer will do, a refusal too: what is refused fails by itself.
  const look = (limit: number) => {
    const answered = client.exists("pulse").then(
      () => undefined,
      () => undefined,
    );
    return within(limit, "the file store", answered);
  };
  const pulse = createPulse({ look, write: look }, (cause) => new StorageUnavailable(cause));
  /** @param bytes how many it may have to send @throws StorageUnavailable */
  const step = async <T>(work: () => T | Promise<T>, bytes = 0): Promise<T> => {
    try {
      const done = pulse.guard(async () => work());
      return await within(PATIENCE + bytes / SLOWEST, "the file store", done);
    } catch (error) {
      throw error instanceof StorageUnavailable ? error : new StorageUnavailable(error);
    }
  };
  async function* bytesOf(key: string): AsyncGenerator<Uint8Array> {
    const reader = client.file(key).stream().getReader();
    try {
      for (;;) {
        const { done, value } = await step(() => reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      // Not waited for: one that hangs would hold who reads.
      reader.cancel().catch(() => undefined);
    }
  }
  return {
    async put(key, bytes, type) {
      checkKey(key);
      await step(() => client.write(key, bytes, { type }), bytes.length);
    },
    async putStream(key, stream, type) {
      const writer = client.file(checkKey(key)).writer({ type, partSize: PART, queueSize: 1 });
      let size = 0;
      let sent = 0;
      try {
        for await (const chunk of stream) {
          size += chunk.length;
          await step(() => writer.write(chunk), PART);
          // Waits until the part is away, so that a fast sender does not fill the memory.
          if (size - sent >= PART) {
            await step(() => writer.flush(), PART);
            sent = size;
          }
        }
        await step(() => writer.end(), PART);
        return size;
      } catch (error) {
        // Bun's client has no way to give an upload up: it is ended, and what came is removed. What that says is of
        // no account beside the error that led here, and a store that is away is not waited for once more.
        const removed = Promise.allSettled([Promise.resolve(writer.end(error as Error))]).then(() =>
          client.delete(key).catch(() => undefined),
        );
        if (!(error instanceof StorageUnavailable)) await step(() => removed).catch(() => undefined);
        throw error;
      }
    },
    async get(key) {
      checkKey(key);
      const found = await step(() =>
        client.stat(key).catch((error: { code?: string }) => {
          if (error.code === "NoSuchKey" || error.code === "NotFound") return null;
          throw error;
        }),
      );
      return found && { body: streamOf(bytesOf(key)), size: found.size };
    },
    async removeAll(prefix) {
      checkKey(prefix);
      for (;;) {
        const listed = await step(() => client.list({ prefix: `${prefix}/`, maxKeys: 1000 }));
        const keys = listed.contents?.map(({ key }) => key) ?? [];
        for (const some of chunksOf(keys, AT_ONCE))
          await Promise.all(some.map((key) => step(() => client.delete(key))));
        if (!listed.isTruncated) return;
      }
    },
  };
}
