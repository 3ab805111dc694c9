import { canonicalKey } from "../lib/text";
import list from "./common-passwords.txt" with { type: "text" };

const fold = (text: string): string => canonicalKey(text.normalize("NFKC"));

const COMMON = new Set(list.split(/\r?\n/).filter((line) => line !== ""));

/** Words that everybody connects with this service: its name, its roles, what it is for. */
const CONTEXT_WORDS = ["aizy", "admin", "administrator", "manager", "customer", "commerce", "backend"];

/** True for the passwords that guessers try first, in whatever case. */
export const isCommonPassword = (password: string): boolean => COMMON.has(fold(password));

/**
 * True when the password is what everybody knows of its owner (the address, its first part, the name) or of
 * this service, alone or with digits and signs before or behind it.
 */
export const isObviousPassword = (password: string, email: string, name: string): boolean => {
  const given = fold(password);
  const bare = given.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, "");
  return [email, email.split("@")[0] ?? "", name, ...CONTEXT_WORDS]
    .map(fold)
    .some((word) => word !== "" && (word === given || word === bare));
};
