import { AppError } from "../lib/errors";

/** A file as it is given out. */
export interface StoredFile {
  body: ReadableStream<Uint8Array>;
  /** Bytes. */
  size: number;
}

/** Bytes as they are made, as a stream: nothing is made before somebody reads, and the maker ends with the reader. */
export const streamOf = (bytes: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> =>
  new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await bytes.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => {
        await bytes.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );

/**
 * Where files lie: a folder in development, an S3-compatible store in production. Keys are made by the
 * application, never taken from a request: lower-case letters, digits, `-`, `_`, `.`, in parts joined by `/`.
 * Every call, and every read of a body, throws `StorageUnavailable` when it fails for a reason of the storage's own.
 */
export interface Storage {
  /** Writes a file; one that is there is replaced. It is there whole or not at all. */
  put(key: string, bytes: Uint8Array, type: string): Promise<void>;
  /**
   * Writes a file as it comes, holding a part of it at a time. When the stream breaks off, the error is thrown and
   * nothing is there.
   * @returns bytes
   */
  putStream(key: string, stream: AsyncIterable<Uint8Array>, type: string): Promise<number>;
  /** The file, or null when there is none. */
  get(key: string): Promise<StoredFile | null>;
  /** Removes every file whose key begins with `prefix` and a slash; nothing there is no error. */
  removeAll(prefix: string): Promise<void>;
}

/** Files can be neither kept nor read now, whatever was asked: the disk is full or failing, or the store is away. */
export class StorageUnavailable extends Error {
  override readonly name = "StorageUnavailable";
  /** What the system or the store says, such as EIO or ConnectionRefused. */
  readonly code: string;

  /** @param cause what the system or the store threw, or that it was late */
  constructor(cause: unknown) {
    const { code } = (cause ?? {}) as { code?: unknown };
    const said = typeof code === "string" ? code : "no answer";
    super(`stored files are out of reach (${said})`, { cause });
    this.code = said;
  }

  /** Whether the disk, or somebody's share of it, is full: that takes longer to pass. */
  get isFull(): boolean {
    return this.code === "ENOSPC" || this.code === "EDQUOT";
  }
}

const KEY = /^[a-z0-9][a-z0-9_.-]*(?:\/[a-z0-9][a-z0-9_.-]*)*$/;

/** @throws AppError internal_error for a key that the application would not make: a guard behind the guards */
export function checkKey(key: string): string {
  if (key.length > 300 || !KEY.test(key)) throw new AppError("internal_error", "not a storage key");
  return key;
}
