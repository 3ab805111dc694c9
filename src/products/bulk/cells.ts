/** Cells of CSV: what a spreadsheet must not take for a formula, and lists inside one cell. */
import { jsonFault } from "./json-fault";

/**
 * A cell that a spreadsheet would read as a formula gets an apostrophe in front, which shows it as text (OWASP
 * "CSV injection"; the full-width signs are formulas to some). One that begins so already gets another, so that
 * `bare` gives every text back.
 */
export const harmless = (text: string): string => (/^'*[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text);

/** The text of a cell that `harmless` wrote. */
export const bare = (cell: string): string => (/^'+[=+\-@\t\r\n＝＋－＠]/.test(cell) ? cell.slice(1) : cell);

/** As `harmless`, of a code: spreadsheets protect digits by an apostrophe, so that a first one is never the code's. */
export const harmlessCode = (text: string): string => (text.startsWith("'") ? `'${text}` : harmless(text));

/** The code of a cell, without the apostrophe that `harmlessCode` or a spreadsheet put in front. */
export const bareCode = (cell: string): string => (/^'./.test(cell) ? cell.slice(1) : cell);

/** The text with a backslash before each mark. */
export const marked = (text: string, marks: RegExp): string => text.replace(marks, "\\$&");

/** Cuts at a mark that no backslash precedes; the parts keep their backslashes. */
export const cut = (text: string, mark: string): string[] => {
  if (!text.includes("\\")) return text.split(mark);
  const parts = [""];
  for (const [piece] of text.matchAll(/\\[\s\S]|[\s\S]/g)) {
    if (piece === mark) parts.push("");
    else parts[parts.length - 1] += piece;
  }
  return parts;
};
/** The text without those backslashes. */
export const unmarked = (text: string): string => text.replace(/\\([\s\S])/g, "$1");

/** A cell that cannot be read. */
export class BadCell extends Error {}

export const json = (column: string, text: string, empty: unknown): unknown => {
  if (text === "") return empty;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadCell(`${column} is not valid JSON`);
  }
  const fault = jsonFault(text, value, column);
  if (fault !== undefined) throw new BadCell(fault);
  return value;
};
