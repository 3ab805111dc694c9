/** Entities that descriptions hold; others stay as they are written. */
const ENTITIES: Record<string, string> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: " ",
  ndash: "–",
  mdash: "—",
  hellip: "…",
  euro: "€",
  copy: "©",
  reg: "®",
  trade: "™",
};

const decoded = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return Object.hasOwn(ENTITIES, name) ? (ENTITIES[name] ?? whole) : whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code >= 32 && code <= 0x10ffff ? String.fromCodePoint(code) : "";
  });

/** The text of an HTML description: paragraphs, lines and items of lists become lines, everything else of it goes. */
export const plainText = (html: string): string =>
  decoded(
    html
      .replace(/<!--[\s\S]*?(?:-->|$)/g, "")
      .replace(/<(script|style|iframe|template)\b[\s\S]*?(?:<\/\1\s*>|$)/gi, "")
      .replace(/<li\b[^>]*>/gi, "\n- ")
      .replace(/<(?:br|\/p|\/div|\/h[1-6]|\/ul|\/ol|\/tr|\/table)\b[^>]*>/gi, "\n")
      .replace(/<\/?[a-z][^>]*(?:>|$)/gi, ""),
  )
    .replace(/[ \t\u00a0]+/g, " ")
    .replace(/ *\n */g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
