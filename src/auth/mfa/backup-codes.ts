import type { Random } from "../../lib/random";

/** How many a person has. */
const BACKUP_CODES = 10;
/** Crockford's base 32: no letter that looks like a digit. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
/** Characters after the first one, of five random bits each: 55 bits. */
const RANDOM_CHARACTERS = 11;

/**
 * New codes such as `3k7f-29qm-t7wx`. The first character numbers them and finds the one hash to compare
 * with; the rest is random.
 */
export const newBackupCodes = (random: Random): string[] =>
  Array.from({ length: BACKUP_CODES }, (_, i) => {
    // 256 is a multiple of 32, so that every character is as likely.
    const rest = Array.from(random.bytes(RANDOM_CHARACTERS), (byte) => ALPHABET[byte % 32]);
    return [ALPHABET[i], ...rest].join("").replace(/(.{4})(?=.)/g, "$1-");
  });

/** A typed code as it is hashed: without hyphens and spaces, and with what is easily misread put right. */
export const canonicalBackupCode = (typed: string): string =>
  typed.toLowerCase().replace(/[\s-]/g, "").replaceAll("o", "0").replace(/[il]/g, "1");

/** The form of a canonical code. */
export const BACKUP_CODE = /^[0-9a-hjkmnp-tv-z]{12}$/;
