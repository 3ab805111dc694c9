import { z } from "zod";
import { dataOf } from "../http/envelopes";
import { isCurrency } from "../lib/money";
import { canonicalZone } from "../lib/time-zones";
import type { SettingKind } from "./settings";

const THEMES = ["system", "light", "dark"] as const;

/** A language tag in its canonical form (BCP 47), such as de-DE. */
const languageSchema = z
  .string("must be a string")
  .max(35, { error: "must be at most 35 characters", abort: true })
  .transform((tag, ctx) => {
    try {
      const [canonical] = Intl.getCanonicalLocales(tag);
      if (canonical !== undefined) return canonical;
    } catch {
      // Not a tag: said below.
    }
    ctx.addIssue({ code: "custom", message: "must be a language tag such as en or de-DE" });
    return z.NEVER;
  })
  .meta({ example: "de-DE" });

/** A zone of the IANA database in its canonical spelling. An offset is none: it knows no summer time. */
const timeZoneSchema = z
  .string("must be a string")
  .max(64, { error: "must be at most 64 characters", abort: true })
  .transform((name, ctx) => {
    const canonical = /^[+-]/.test(name) ? null : canonicalZone(name);
    if (canonical !== null) return canonical;
    ctx.addIssue({ code: "custom", message: "must be an IANA time zone such as Europe/Berlin or UTC" });
    return z.NEVER;
  })
  .meta({ example: "Europe/Berlin" });

const currencySchema = z
  .string("must be a string")
  .refine(isCurrency, "must be a currency of ISO 4217 such as EUR")
  .meta({ example: "EUR" });

const themeSchema = z.enum(THEMES, "must be system, light or dark");

const marketingSchema = z
  .strictObject({ email: z.boolean("must be true or false") })
  .meta({ id: "Marketing" });

/** What a person may choose; what is left out is the default. */
export const preferencesSchema = z
  .strictObject({
    language: languageSchema.optional(),
    timeZone: timeZoneSchema.optional(),
    currency: currencySchema.optional(),
    theme: themeSchema.optional(),
    marketing: marketingSchema.optional(),
  })
  .meta({ id: "Preferences" });

/** A part of the preferences; null takes a choice back. */
export const changePreferencesSchema = z
  .strictObject({
    language: languageSchema.nullable().optional(),
    timeZone: timeZoneSchema.nullable().optional(),
    currency: currencySchema.nullable().optional(),
    theme: themeSchema.nullable().optional(),
    marketing: marketingSchema.nullable().optional(),
  })
  .refine((change) => Object.keys(change).length > 0, { message: "give at least one preference" })
  .meta({ id: "ChangePreferences" });

export type ChangePreferences = z.output<typeof changePreferencesSchema>;

export type ReplacePreferences = z.output<typeof preferencesSchema>;

/** What is stored: only what was chosen, and when the person decided about marketing (GDPR, article 7). */
const storedFields = {
  language: languageSchema,
  timeZone: timeZoneSchema,
  currency: currencySchema,
  theme: themeSchema,
  marketing: z.object({ email: z.boolean(), decidedAt: z.iso.datetime() }),
};

export type Preferences = { [Name in keyof typeof storedFields]?: z.output<(typeof storedFields)[Name]> };

/**
 * Forms of the stored JSON. 1: `marketingEmails` as a bare boolean. 2: `marketing`, with when it was decided.
 */
export const PREFERENCES: SettingKind<Preferences> = {
  kind: "preferences",
  shape: 2,
  upgrades: {
    1: ({ marketingEmails, ...data }, updatedAt) =>
      typeof marketingEmails === "boolean"
        ? { ...data, marketing: { email: marketingEmails, decidedAt: updatedAt.toISOString() } }
        : data,
  },
  fields: storedFields,
};

const preferencesResponse = z
  .object({
    language: z.string(),
    timeZone: z.string(),
    currency: z.string(),
    theme: z.enum(THEMES),
    marketing: z.object({
      email: z.boolean(),
      /** When the person last decided; null when they never did. */
      decidedAt: z.string().nullable(),
    }),
    /** Grows with each change; 0 while everything is a default. */
    version: z.number().int(),
  })
  .meta({ id: "PreferencesData" });

export type PreferencesResponse = z.infer<typeof preferencesResponse>;

export const preferencesAnswer = dataOf(preferencesResponse);

/** Choices with the defaults of everything else. */
export const toPreferences = (
  chosen: Preferences,
  version: number,
  defaultCurrency: string,
): PreferencesResponse => ({
  language: chosen.language ?? "en",
  timeZone: chosen.timeZone ?? "UTC",
  currency: chosen.currency ?? defaultCurrency,
  theme: chosen.theme ?? "system",
  marketing: chosen.marketing ?? { email: false, decidedAt: null },
  version,
});
