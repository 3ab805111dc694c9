import { mkdir, mkdtemp, open, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ConfigError } from "../config";
import type { Random } from "../lib/random";
import { checkKey, type Storage, StorageUnavailable, streamOf } from "./storage";

/** Waits for the disk. @throws StorageUnavailable for whatever it says; what is not there is asked for before */
const disk = <T>(work: Promise<T>): Promise<T> =>
  work.catch((cause) => {
    throw new StorageUnavailable(cause);
  });

/** Bytes that are read at once. */
const CHUNK = 256 * 1024;

/**
 * The bytes of a file. Bun's own stream of a file gives an unreadable one out as empty, and throws where nobody
 * listens when its reader leaves.
 * @throws StorageUnavailable when the file cannot be read, Error when it ends before its size
 */
async function* bytesOf(path: string, size: number): AsyncGenerator<Uint8Array> {
  const file = await disk(open(path));
  try {
    let read = 0;
    do {
      const { bytesRead, buffer } = await disk(file.read(new Uint8Array(Math.min(CHUNK, size - read || 1))));
      if (bytesRead === 0 && read < size)
        throw new Error(`a stored file of ${size} bytes ended after ${read}`);
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
      read += bytesRead;
    } while (read < size);
  } finally {
    await file.close();
  }
}

/**
 * Makes the folder where it is missing, and something in it, to know before anybody's file is lost that it can be done.
 * @throws ConfigError saying why it cannot
 */
export async function checkFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await rmdir(await mkdtemp(join(folder, ".check-")));
  } catch (cause) {
    const { code = "no reason given" } = cause as { code?: string };
    const problem = `nothing can be written there (${code}); name a folder that this user may write to`;
    throw new ConfigError([{ variable: "STORAGE_DIR", problem }]);
  }
}

/**
 * Files in a folder, readable for this user alone: exports hold what is known of a person. Written beside their place and moved there, so nobody reads half a file; a draft that a dead
 * process left goes with its folder.
 */
export function createDiskStorage(folder: string, random: Random): Storage {
  const root = resolve(folder);
  const place = (key: string) => join(root, checkKey(key));
  async function putStream(key: string, stream: AsyncIterable<Uint8Array>): Promise<number> {
    const path = place(key);
    await disk(mkdir(dirname(path), { recursive: true, mode: 0o700 }));
    // No key begins with a dot.
    const draft = join(dirname(path), `.draft-${random.id()}`);
    let size = 0;
    try {
      const file = await disk(open(draft, "wx", 0o600));
      try {
        for await (const chunk of stream) {
          await disk(file.writeFile(chunk));
          size += chunk.length;
        }
        await disk(file.sync());
      } finally {
        await disk(file.close());
      }
      await disk(rename(draft, path));
      return size;
    } catch (error) {
      // A disk that fails may not let it go either; what failed first is what matters.
      await rm(draft, { force: true }).catch(() => undefined);
      throw error;
    }
  }
  return {
    async put(key, bytes) {
      await putStream(
        key,
        (async function* () {
          yield bytes;
        })(),
      );
    },
    putStream,
    async get(key) {
      const path = place(key);
      const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
        throw new StorageUnavailable(error);
      });
      if (!found?.isFile()) return null;
      return { body: streamOf(bytesOf(path, found.size)), size: found.size };
    },
    removeAll: (prefix) => disk(rm(place(prefix), { recursive: true, force: true })),
  };
}
