import { DEFAULT_READER, languageOf, type Reader } from "../mail";
import type { UserDeps } from "./deps";
import { PREFERENCES } from "./preferences";
import { readSetting } from "./settings";

/**
 * In which language and by which clock a person reads a mail: as they chose, else in the language of the request that
 * brought the mail about.
 * @param payload of the job that sends the mail; its `language` is the request's
 */
export async function readerOf(deps: UserDeps, userId: string, payload?: unknown): Promise<Reader> {
  const { data } = await readSetting(deps, PREFERENCES, userId);
  const { language: requested } = (payload ?? {}) as { language?: unknown };
  return {
    language:
      languageOf(data.language) ??
      languageOf(typeof requested === "string" ? requested : undefined) ??
      DEFAULT_READER.language,
    timeZone: data.timeZone ?? DEFAULT_READER.timeZone,
  };
}
