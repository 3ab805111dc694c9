import { canonicalKey } from "../canonical";
import list from "./common-passwords.txt" with { type: "text" };

const fold = (text: string): string => canonicalKey(text.normalize("NFKC"));

const COMMON = new Set(list.split(/\r?\n/).filter((line) => line !== ""));

/** True for the passwords that guessers try first, in whatever case. */
export const isCommonPassword = (password: string): boolean => COMMON.has(fold(password));

/** True when the password is what everybody knows of its owner: the address, its first part, the name. */
export const isOwnWord = (password: string, email: string, name: string): boolean => {
  const given = fold(password);
  return [email, email.split("@")[0] ?? "", name].some((word) => word !== "" && fold(word) === given);
};
