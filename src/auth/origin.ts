import type { Language } from "../mail";

/** Where a request came from, for the list of sessions. */
export interface Origin {
  ip: string;
  userAgent: string;
  /** What earlier sign-ins on this device were given: a browser keeps one for each person. */
  deviceTokens?: string[];
  /** The language of mails that the request likes best. */
  language?: Language;
}

/** The request's language, for the payload of a job that mails somebody. */
export const languageIn = ({ language }: { language?: Language }): { language?: Language } =>
  language === undefined ? {} : { language };
