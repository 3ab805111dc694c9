import type { Storage, StoredFile } from "../src/storage/storage";

const failure = (code: string) => Object.assign(new Error(`${code}: the test broke this`), { code });

/** The first half of a body, then an error; of one byte, nothing and then an error. */
function half({ body, size }: StoredFile): StoredFile {
  const reader = body.getReader();
  let left = Math.floor(size / 2);
  return {
    size,
    body: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { value } = left > 0 ? await reader.read() : {};
          if (!value) {
            await reader.cancel();
            throw failure("EIO");
          }
          controller.enqueue(value.subarray(0, left));
          left -= value.length;
        },
        cancel: () => reader.cancel(),
      },
      { highWaterMark: 0 },
    ),
  };
}

const broken = (code: string): ReadableStream<Uint8Array> =>
  new ReadableStream({ pull: () => Promise.reject(failure(code)) }, { highWaterMark: 0 });

/** Reads one piece, as a disk that is full after it. */
async function oneOf(stream: AsyncIterable<Uint8Array>): Promise<never> {
  for await (const _ of stream) throw failure("ENOSPC");
  throw failure("ENOSPC");
}

async function allOf(stream: AsyncIterable<Uint8Array>): Promise<never> {
  for await (const _ of stream);
  throw failure("EIO");
}

/** What can become of a call of storage, by the name of the call. */
export const FAULTS: Record<keyof Storage, Record<string, Partial<Storage>>> = {
  get: {
    missing: { get: async () => null },
    "EIO at the call": { get: () => Promise.reject(failure("EIO")) },
    "EIO at the first byte": { get: async () => ({ body: broken("EIO"), size: 100 }) },
    "EIO half-way": {},
  },
  put: {
    ENOSPC: { put: () => Promise.reject(failure("ENOSPC")) },
    EIO: { put: () => Promise.reject(failure("EIO")) },
  },
  putStream: {
    "ENOSPC at once": { putStream: () => Promise.reject(failure("ENOSPC")) },
    "ENOSPC half-way": { putStream: (_, stream) => oneOf(stream) },
    "EIO at the end": { putStream: (_, stream) => allOf(stream) },
  },
  removeAll: { EIO: { removeAll: () => Promise.reject(failure("EIO")) } },
};

/** One call of storage, as a test watches it. */
export interface StorageCall {
  name: keyof Storage;
  key: string;
}

/**
 * Storage whose calls a test sees, and whose answers it may replace.
 * @param fault what a call should become instead: the name of one of its `FAULTS`, or undefined
 */
export function withFaults(real: Storage, fault: (call: StorageCall) => string | undefined): Storage {
  const instead = (name: keyof Storage, key: string) => {
    const chosen = fault({ name, key });
    return chosen === undefined ? undefined : { chosen, call: FAULTS[name][chosen] };
  };
  return {
    put: (key, ...rest) => (instead("put", key)?.call?.put ?? real.put)(key, ...rest),
    putStream: (key, ...rest) => (instead("putStream", key)?.call?.putStream ?? real.putStream)(key, ...rest),
    removeAll: (key) => (instead("removeAll", key)?.call?.removeAll ?? real.removeAll)(key),
    async get(key) {
      const replaced = instead("get", key);
      if (replaced?.call?.get) return replaced.call.get(key);
      const stored = await real.get(key);
      return replaced && stored ? half(stored) : stored;
    },
  };
}
