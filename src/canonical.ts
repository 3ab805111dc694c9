/**
 * The canonical form of keys that people type (emails, SKUs, slugs): NFC, trimmed and case-folded,
 * so that two spellings of one key are one key. Folding twice covers letters whose lower case has an
 * upper case of its own (ẞ, ſ, K); see Unicode 3.13, "caseless matching".
 */
export const canonicalKey = (text: string): string =>
  text.normalize("NFC").trim().toLowerCase().toUpperCase().toLowerCase().normalize("NFC");

/** Text as people read it: NFC and trimmed. Control characters are refused by the schemas. */
export const cleanText = (text: string): string => text.normalize("NFC").trim();

/** A URL part from a name: letters and digits of any script, joined by hyphens; empty when none are left. */
export const slugify = (text: string): string =>
  canonicalKey(text)
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "")
    .normalize("NFC")
    .slice(0, 120)
    .replace(/-+$/, "");
