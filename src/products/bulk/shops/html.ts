import { decodeHTMLStrict } from "entities";

/** Text with its entities as the characters that they stand for; what shows nothing goes. */
export const decoded = (text: string): string => decodeHTMLStrict(text).replace(/[^\P{Cc}\n\t]/gu, "");

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
