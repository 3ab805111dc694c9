/** Fewer different characters than 32 random ones have, hexadecimal ones too (once in 25 million). */
const LEAST_VARIETY = 8;

/** What samples and people in a hurry write. No generator makes it. */
const SAMPLE =
  /change.?(me|this|it)|replace.?(me|this|it)|your.?(secret|key|token|jwt)|(jwt|my|super|top|very).?secret|placeholder|example|insert.?here|p[a@]ssw[o0]rd|qwerty/i;

/** Whether it is one piece, repeated: its last round may be cut. */
const isRepeated = (text: string): boolean =>
  Array.from({ length: Math.floor(text.length / 2) }, (_, n) => n + 1).some(
    (period) => text.slice(period) === text.slice(0, -period),
  );

/** Whether most characters are the neighbours of those before them, as in "abcdef" and "654321". */
const isRow = (text: string): boolean => {
  const codes = [...text].map((character) => character.codePointAt(0) ?? 0);
  const steps = codes.filter((code, n) => Math.abs(code - (codes[n - 1] ?? code)) === 1);
  return steps.length > codes.length / 2;
};

/**
 * Whether a secret that is long enough is one all the same that somebody would try: one character again and again, a
 * row of neighbours, or the value of a sample. A random one never is.
 * @example isGuessable("lamp".repeat(10)) // true
 */
export const isGuessable = (secret: string): boolean =>
  new Set(secret).size < LEAST_VARIETY || isRepeated(secret) || isRow(secret) || SAMPLE.test(secret);
