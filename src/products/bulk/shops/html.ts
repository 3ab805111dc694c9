import { decodeHTMLStrict } from "entities";

/** Text with its entities as the characters that they stand for; what shows nothing goes. */
export const decoded = (text: string): string => decodeHTMLStrict(text).replace(/[^\P{Cc}\n\t]/gu, "");

/** The rest of a tag behind its name. A quoted value may hold ">"; where quotes do not pair, the next ">" ends it. */
const REST = `\\b(?:(?:"[^"]*"|'[^']*'|[^'">])*>|[^>]*(?:>|$))`;
const [ITEM, BREAK, TAG] = [
  new RegExp(`<li${REST}`, "gi"),
  new RegExp(`<(?:br|/p|/div|/h[1-6]|/ul|/ol|/tr|/table)${REST}`, "gi"),
  new RegExp(`</?[a-z][a-z0-9:-]*${REST}`, "gi"),
] as const;

/** The text of an HTML description: paragraphs, lines and items of lists become lines, everything else of it goes. */
export const plainText = (html: string): string =>
  decoded(
    html
      .replace(/<!--[\s\S]*?(?:-->|$)/g, "")
      .replace(/<(script|style|iframe|template)\b[\s\S]*?(?:<\/\1\s*>|$)/gi, "")
      .replace(ITEM, "\n- ")
      .replace(BREAK, "\n")
      .replace(TAG, ""),
  )
    .replace(/[ \t\u00a0]+/g, " ")
    .replace(/ *\n */g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
