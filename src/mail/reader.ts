import { de } from "./texts/de";
import { en } from "./texts/en";
import type { MailTexts } from "./texts/texts";

/** The languages that mails are written in: a file of `texts/` each. */
export const TEXTS = { en, de } as const satisfies Record<string, MailTexts>;
export type Language = keyof typeof TEXTS;

/** Who reads a mail: in which language, and by which clock. */
export interface Reader {
  language: Language;
  /** A name of the IANA database. */
  timeZone: string;
}

export const DEFAULT_READER: Reader = { language: "en", timeZone: "UTC" };

/** The language of ours that a tag such as `de-AT` asks for. */
export function languageOf(tag: string | undefined): Language | undefined {
  const primary = tag?.trim().toLowerCase().split("-")[0] ?? "";
  return Object.hasOwn(TEXTS, primary) ? (primary as Language) : undefined;
}

/**
 * The language of ours that an Accept-Language likes best (RFC 9110 §12.5.4); undefined when it names none.
 * @example acceptedLanguage("fr, de-CH;q=0.8, en;q=0.5") // "de"
 */
export function acceptedLanguage(header: string | undefined): Language | undefined {
  const wanted = (header ?? "")
    .slice(0, 200)
    .split(",")
    .flatMap((part) => {
      const [tag, ...parameters] = part.split(";");
      const quality = Number(
        /^\s*q=([\d.]+)\s*$/.exec(parameters.join(";"))?.[1] ?? (parameters.length > 0 ? 0 : 1),
      );
      const language = languageOf(tag);
      return language === undefined || !(quality > 0) ? [] : [{ language, quality }];
    });
  return wanted.sort((a, b) => b.quality - a.quality)[0]?.language;
}

const LOCALES: Record<Language, string> = { en: "en-GB", de: "de-DE" };

/** A time as the reader writes it, with their zone: `30 November 2026 at 02:04:05 CET`. */
export const timeFor = ({ language, timeZone }: Reader, time: Date): string =>
  new Intl.DateTimeFormat(LOCALES[language], { dateStyle: "long", timeStyle: "long", timeZone }).format(time);

/** A number of minutes in words of the reader's language, in the largest unit that fits. */
export function durationFor({ language }: Reader, minutes: number): string {
  const { duration } = TEXTS[language];
  if (minutes % 1440 === 0) return duration(minutes / 1440, "day");
  return minutes % 60 === 0 ? duration(minutes / 60, "hour") : duration(minutes, "minute");
}
