/**
 * What nobody sees: soft hyphens, and marks of width zero that say how letters join, which way they run, or how they
 * look (most of Unicode's Default_Ignorable_Code_Point).
 */
const UNSEEN =
  /\u034f|[\ufe00-\ufe0f]|[\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0]/g;

/**
 * The canonical form of keys that people type (emails, SKUs, slugs): NFC, trimmed and case-folded, with one plain
 * space for any run of blanks, so that two spellings of one key are one key. Folding twice covers letters whose lower
 * case has an upper case of its own (ẞ, ſ, K); see Unicode 3.13, "caseless matching".
 * Half of a surrogate pair, which JSON can write and UTF-8 cannot, becomes U+FFFD here and not in the database.
 */
export const canonicalKey = (text: string): string =>
  text
    .toWellFormed()
    .replace(UNSEEN, "")
    .normalize("NFC")
    .replace(/\s+/g, " ")
    .trim()
    .toLowerCase()
    .toUpperCase()
    .toLowerCase()
    .normalize("NFC");

/** Letters that Unicode does not take apart into a base and an accent. */
const LETTERS: Record<string, string> = { ø: "o", ł: "l", đ: "d", ð: "d", þ: "th", æ: "ae", œ: "oe", ı: "i" };

/**
 * The canonical form of what is searched: compatibility forms (width, ligatures), case and the accents of alphabets
 * are all one. Marks of other scripts stay, because there they are letters (Thai and Indic vowels, が beside か).
 */
export const searchKey = (text: string): string =>
  /^[ -~]*$/.test(text) ? text.toLowerCase() : foldedKey(text);

const foldedKey = (text: string): string =>
  canonicalKey(
    canonicalKey(text.normalize("NFKC"))
      .normalize("NFKD")
      .replace(
        /([\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Hebrew}\p{Script=Arabic}])\p{M}+/gu,
        "$1",
      )
      .replace(/[øłđðþæœı]/g, (letter) => LETTERS[letter] ?? letter),
  );

/**
 * True for text in the form of our ids. MySQL refuses to compare an ASCII column with other text ("illegal mix
 * of collations"), so an id from a path is looked at before it is looked up.
 */
export const isId = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text);

/** Text as people read it: well-formed, NFC and trimmed. Control characters are refused by the schemas. */
export const cleanText = (text: string): string => text.toWellFormed().normalize("NFC").trim();

/** Most characters of a URL part. */
const MAX_SLUG = 120;

/** A URL part of at most so many characters, which ends in no hyphen and no half of a surrogate pair. */
const cutSlug = (slug: string, length: number): string =>
  slug.slice(0, length).replace(/-*[\ud800-\udbff]?$/, "");

/**
 * A URL part from a name: letters and digits of any script, joined by hyphens; empty when none are left. Accents of
 * Latin and Greek go; in other scripts a mark makes another letter (が, й, की), and stays. It is
 * folded again after NFKD, which makes capitals of letters that have no lower case of their own (ᴬ, ϒ).
 */
export const slugify = (text: string): string =>
  cutSlug(
    canonicalKey(canonicalKey(text).normalize("NFKD"))
      .normalize("NFKD")
      .replace(/([\p{Script=Latin}\p{Script=Greek}])\p{M}+/gu, "$1")
      .replace(/[^\p{L}\p{N}\p{M}]+/gu, "-")
      .replace(/(^|-)\p{M}+/gu, "$1")
      .replace(/-+/g, "-")
      .replace(/^-+|-+$/g, "")
      .normalize("NFC"),
    MAX_SLUG,
  );

/** A slug with a suffix behind it, for one that is taken: shortened, so that the whole is no longer than a slug. */
export const suffixSlug = (slug: string, suffix: string): string =>
  `${cutSlug(slug, MAX_SLUG - suffix.length - 1)}-${suffix}`;

/** Most characters that say how text stands beside other text show nothing, and neither do these blanks. */
const SHOWN = /(?![\p{Default_Ignorable_Code_Point}\u2800])[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * Whether a text shows anything to who reads it: a letter, a digit or a sign, and not only spaces, joiners, marks
 * without a letter, or letters that are blank.
 * @example isVisible("\u200b\u3164") // false
 */
export const isVisible = (text: string): boolean => SHOWN.test(text);
