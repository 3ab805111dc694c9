import { createHmac, hash, hkdfSync, timingSafeEqual } from "node:crypto";
import type { Config } from "../config";

/** Every use of the one secret has a label of its own, so that no key serves two purposes (RFC 5869). */
export type KeyPurpose =
  | "access-token"
  | "refresh-token"
  | "verification-code"
  | "cursor"
  | "mfa-challenge"
  | "device"
  | "api-key"
  | "shopper-address";

type Key = Uint8Array<ArrayBuffer>;

/** The keys of one purpose. Things are made under the first; what was made under any of them is accepted. */
export type Keys = readonly [Key, ...Key[]];

/** Gives the keys of a purpose, under every secret that counts. All that comes from `JWT_SECRET` comes from here. */
export type KeyRing = (purpose: KeyPurpose) => Keys;

/** Derives the 32-byte key of a purpose from one secret. */
export const deriveKey = (secret: string, purpose: KeyPurpose): Key =>
  new Uint8Array(hkdfSync("sha256", secret, "aizy", purpose, 32));

/**
 * The ring of `JWT_SECRET`, under which everything is made, with `JWT_SECRET_NEXT` and `JWT_SECRET_PREVIOUS`, which
 * are accepted too: so a copy of the server reads what copies one step of a rotation before or behind it made.
 */
export const createKeyRing =
  (
    config: Pick<Config, "jwtSecret"> & Partial<Pick<Config, "jwtSecretNext" | "jwtSecretPrevious">>,
  ): KeyRing =>
  (purpose) => {
    const accepted = [config.jwtSecretNext, config.jwtSecretPrevious].filter(
      (secret) => secret !== undefined,
    );
    return [deriveKey(config.jwtSecret, purpose), ...accepted.map((secret) => deriveKey(secret, purpose))];
  };

/** HMAC-SHA-256 of a message (RFC 2104). */
export const macOf = (key: Uint8Array, message: string | Uint8Array): Key =>
  new Uint8Array(createHmac("sha256", key).update(message).digest());

/** Shortest MAC that counts, in bytes (RFC 2104, section 5). */
const SHORTEST_MAC = 16;

/**
 * True when `given` is the MAC of the message, or its first 16 bytes at least, under any of the keys. Compares in
 * constant time.
 */
export const isMac = (
  keys: readonly Uint8Array[],
  message: string | Uint8Array,
  given: Uint8Array,
): boolean =>
  given.length >= SHORTEST_MAC &&
  keys.some((key) => {
    const right = macOf(key, message).subarray(0, given.length);
    return right.length === given.length && timingSafeEqual(right, given);
  });

/**
 * Whether two secrets are the same, in a time that says nothing about where they differ or how long they are.
 * @example isSameSecret(c.req.header("authorization") ?? "", `Bearer ${token}`)
 */
export const isSameSecret = (left: string, right: string): boolean =>
  timingSafeEqual(hash("sha256", left, "buffer"), hash("sha256", right, "buffer"));
