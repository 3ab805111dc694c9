import { z } from "zod";
import { isObject } from "../../lib/json";
import { consentOf } from "./consent";

const NO_CONTROLS = /^[^\p{Cc}\p{Cs}]*$/u;

/** A text of one line. */
export const line = (max: number) =>
  z
    .string("must be a string")
    .max(max, `must be at most ${max} characters`)
    .regex(NO_CONTROLS, "must not hold control characters");

/** A text on one line: control characters and halves of surrogate pairs become spaces. */
export const oneLine = (value: string): string => value.replace(/[\p{Cc}\p{Cs}]+/gu, " ").trim();

const isAbsent = (value: unknown): boolean =>
  value === null || (typeof value === "string" && value.trim() === "");

/**
 * An object whose fields count as absent when they are null or a text with nothing in it but white space: what
 * browsers and libraries send for what they do not know, such as `document.referrer` on a direct visit.
 */
export const sparse = <Schema extends z.ZodObject>(schema: Schema) =>
  z.preprocess(
    (value: z.input<Schema>) =>
      isObject(value)
        ? Object.fromEntries(Object.entries(value).filter(([, field]) => !isAbsent(field)))
        : value,
    schema,
  );

/** What is known of the circumstances. Segment's names; others are not stored. */
export const contextSchema = sparse(
  z.object({
    ip: line(100).nullish(),
    userAgent: line(1000).nullish(),
    page: sparse(
      z.object({
        url: line(4000).nullish(),
        path: line(2000).nullish(),
        referrer: line(4000).nullish(),
        title: line(1000).nullish(),
      }),
    ).nullish(),
    campaign: sparse(z.object({ source: line(100).nullish(), medium: line(100).nullish() })).nullish(),
    library: sparse(z.object({ name: line(100).nullish() }))
      .nullish()
      .catch(null),
    consent: z
      .unknown()
      .optional()
      .meta({
        description:
          "Segment's `categoryPreferences`, or any other shape; what is unclear counts as a refusal",
        examples: [{ categoryPreferences: { analytics: true } }],
      }),
  }),
);

export type EventContext = z.output<typeof contextSchema>;

/** A field that could not be read, and why. */
export interface IgnoredField {
  path: string;
  reason: string;
}

const without = (value: unknown, [key, ...deeper]: PropertyKey[]): unknown => {
  if (typeof value !== "object" || value === null || key === undefined) return undefined;
  const { [key]: field, ...rest } = value as Record<PropertyKey, unknown>;
  return deeper.length === 0 ? rest : { ...rest, [key]: without(field, deeper) };
};

/**
 * The context of a batch, field by field, so that one that cannot be read does not cost the events. A consent that
 * cannot be read is taken for a refusal: nobody's wish is passed over because it was written wrongly.
 * @param input an object
 */
export function readContext(input: unknown): { context: EventContext; ignored: IgnoredField[] } {
  const parsed = contextSchema.safeParse(input);
  const faults = new Map(parsed.error?.issues.map((issue) => [issue.path.join("."), issue]));
  const readable = [...faults.values()].reduce((rest: unknown, { path }) => without(rest, path), input);
  const context = parsed.data ?? contextSchema.parse(readable);
  const ignored = [...faults].map(([path, { message }]) => ({ path: `context.${path}`, reason: message }));
  if (consentOf(context.consent) === "unclear") {
    ignored.push({ path: "context.consent", reason: "is not understood; it counts as a refusal" });
  }
  return { context, ignored };
}
