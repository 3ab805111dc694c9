import { createHash } from "node:crypto";

/** `aizy_` so that scanners of published code know it, the id without hyphens, the secret. */
const FORM = /^aizy_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;

/** Whether a text looks like one of our keys; access tokens never do. */
export const looksLikeKey = (text: string): boolean => text.startsWith("aizy_");

/** A key as its owner is shown it. */
export const formatKey = (id: string, secret: Uint8Array): string =>
  `aizy_${id.replaceAll("-", "")}_${Buffer.from(secret).toString("base64url")}`;

/** The parts of a key, or null for a text that is none in the one spelling that was given out. */
export function parseKey(text: string): { id: string; secret: Uint8Array } | null {
  const [, a, b, c, d, e, encoded = ""] = FORM.exec(text) ?? [];
  const secret = Buffer.from(encoded, "base64url");
  // Base64 has spare bits: other characters at the end would decode to the same bytes.
  return a === undefined || secret.toString("base64url") !== encoded
    ? null
    : { id: [a, b, c, d, e].join("-"), secret };
}

export const SECRET_BYTES = 32;

/**
 * What is kept of a key: of 256 random bits a plain hash is enough, and it needs no secret that may be changed.
 */
export const digestOf = (secret: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(createHash("sha256").update(secret).digest());
