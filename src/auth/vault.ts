import { createCipheriv, createDecipheriv } from "node:crypto";
import { AppError } from "../lib/errors";
import type { Random } from "../lib/random";

const NONCE = 12;
const TAG = 16;
/** After how long a copy that has the key may answer, in seconds. */
const RETRY_AFTER = 10;

/** Something encrypted: the nonce, the ciphertext and the tag, and the version of the key. */
export interface Sealed {
  keyVersion: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Encryption of what must be read again, under the versioned `DATA_KEY`. */
export interface Vault {
  /** The version that encrypts: the first of `DATA_KEY`. */
  readonly version: string;
  /**
   * Encrypts under the first key.
   * @param place where it will be kept, such as the id of its row: moved elsewhere it cannot be read
   */
  seal(plain: Uint8Array, place: string): Sealed;
  /**
   * Decrypts under whichever key encrypted it.
   * @throws AppError service_unavailable when this process has no such key: another copy of the server may have it
   * @throws Error when it was changed or moved
   */
  open(sealed: Sealed, place: string): Uint8Array<ArrayBuffer>;
  /** True when it is under the first key; otherwise it should be sealed anew. */
  isCurrent(sealed: Pick<Sealed, "keyVersion">): boolean;
}

/** @param keys by version, the encrypting one first: AES-256-GCM with a random nonce (NIST SP 800-38D) */
export function createVault(keys: ReadonlyMap<string, Uint8Array<ArrayBuffer>>, random: Random): Vault {
  const current = [...keys.keys()][0] ?? "";
  const keyOf = (version: string): Uint8Array => {
    const key = keys.get(version);
    if (!key) {
      const cause = new Error(
        `DATA_KEY holds no key ${version}. Add it behind the first one on every copy of the server.`,
      );
      const detail =
        "A stored secret cannot be read at the moment. Try again shortly, or sign in another way.";
      throw new AppError("service_unavailable", detail, { cause, retryAfter: RETRY_AFTER });
    }
    return key;
  };
  return {
    version: current,
    seal(plain, place) {
      const nonce = random.bytes(NONCE);
      const cipher = createCipheriv("aes-256-gcm", keyOf(current), nonce).setAAD(Buffer.from(place));
      const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
      const bytes = new Uint8Array(Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]));
      return { keyVersion: current, bytes };
    },
    open({ keyVersion, bytes }, place) {
      const decipher = createDecipheriv("aes-256-gcm", keyOf(keyVersion), bytes.subarray(0, NONCE))
        .setAAD(Buffer.from(place))
        .setAuthTag(bytes.subarray(-TAG));
      const ciphertext = bytes.subarray(NONCE, -TAG);
      return new Uint8Array(Buffer.concat([decipher.update(ciphertext), decipher.final()]));
    },
    isCurrent: ({ keyVersion }) => keyVersion === current,
  };
}
