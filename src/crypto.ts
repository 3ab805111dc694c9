import { hkdfSync } from "node:crypto";

/** Every use of the one secret has a label of its own, so that no key serves two purposes (RFC 5869). */
export type KeyPurpose =
  | "access-token"
  | "refresh-token"
  | "verification-code"
  | "cursor"
  | "link"
  | "mfa-challenge"
  | "device"
  | "api-key"
  | "visitor";

/** Derives the 32-byte key of a purpose from `JWT_SECRET`. */
export const deriveKey = (secret: string, purpose: KeyPurpose): Uint8Array<ArrayBuffer> =>
  new Uint8Array(hkdfSync("sha256", secret, "aizy", purpose, 32));
