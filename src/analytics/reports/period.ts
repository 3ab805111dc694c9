import { z } from "zod";
import { DAY } from "../../lib/clock";
import { invalidInput } from "../../lib/errors";
import { canonicalZone } from "../../lib/time-zones";
import type { Range } from "../model";
import { QUARTER_HOUR } from "../rollups/buckets";

export const INTERVALS = ["hour", "day", "week", "month"] as const;
export type Interval = (typeof INTERVALS)[number];

/** Longest period of a report, in milliseconds. */
const MAX_PERIOD = 800 * DAY;
/** Longest period by the hour. */
const MAX_HOURLY = 93 * DAY;
/** Before it, offsets of zones were not all quarters of an hour, and there were no events. */
const EARLIEST = Date.UTC(2000, 0, 1);

const zone = z.string().transform((name, ctx) => {
  const canonical = canonicalZone(name);
  if (canonical !== null) return canonical;
  ctx.addIssue({ code: "custom", message: "must be a time zone such as Europe/Berlin, UTC or +05:45" });
  return z.NEVER;
});

const isMoment = (text: string): boolean =>
  z.iso.date().safeParse(text).success || z.iso.datetime({ offset: true }).safeParse(text).success;

/** A day of the zone or an instant. */
const moment = z
  .string()
  .refine(isMoment, "must be a day such as 2026-11-23 or a time such as 2026-11-23T10:00:00Z");

/** What every report takes: a period and a zone, and whose traffic. */
export const periodSchema = z
  .strictObject({
    from: moment
      .optional()
      .meta({ description: "First day (its midnight in the zone) or instant. Default: 30 days ago" }),
    to: moment
      .optional()
      .meta({ description: "The day or instant that ends the period and is not in it. Default: now" }),
    timezone: zone
      .default("UTC")
      .meta({ description: "IANA name or offset, for days and intervals", example: "Europe/Berlin" }),
    traffic: z.enum(["people", "bots"], "must be people or bots").default("people"),
  })
  .meta({ id: "Period" });

/** The checks that need more than one of the fields; put at the end of a schema made from `periodSchema`. */
export const checkPeriod = <Output extends { from?: string; to?: string; timezone: string }>(
  schema: z.ZodType<Output>,
) =>
  schema.superRefine((query, ctx) => {
    const say = (path: string, message: string) => ctx.addIssue({ code: "custom", path: [path], message });
    const instants = { from: instantOf(query.from, query.timezone), to: instantOf(query.to, query.timezone) };
    for (const name of ["from", "to"] as const) {
      const time = instants[name];
      if (time !== null && (time < EARLIEST || time > Date.UTC(2200, 0, 1))) {
        say(name, "must be between the years 2000 and 2200");
      }
    }
    const { from, to } = instants;
    if (from === null || to === null) return;
    if (from >= to) say("to", "must be after from");
  });

function instantOf(text: string | undefined, timezone: string): number | null {
  // What is no moment has its own error by now.
  if (text === undefined || !isMoment(text)) return null;
  if (text.includes("T")) return new Date(text).getTime();
  // The first instant of the day, also where the clocks go forward at midnight.
  return Temporal.PlainDate.from(text).toZonedDateTime(timezone).epochMilliseconds;
}

/**
 * The period of a report in whole buckets: an instant within a quarter of an hour widens it to the quarter's
 * edge, and the answer says what it became.
 * @throws AppError invalid_input when the period is too long
 */
export function resolvePeriod(
  query: { from?: string | undefined; to?: string | undefined; timezone: string; interval?: Interval },
  now: Date,
): Range {
  const end =
    instantOf(query.to, query.timezone) ??
    Math.max(now.getTime(), (instantOf(query.from, query.timezone) ?? 0) + 1);
  const begin = instantOf(query.from, query.timezone) ?? end - 30 * DAY;
  const from = Math.floor(begin / QUARTER_HOUR) * QUARTER_HOUR;
  const to = Math.ceil(end / QUARTER_HOUR) * QUARTER_HOUR;
  if (to - from > MAX_PERIOD + QUARTER_HOUR) {
    throw invalidInput("from", "too_long", `the period may be at most ${MAX_PERIOD / DAY} days long`);
  }
  if (query.interval === "hour" && to - from > MAX_HOURLY + QUARTER_HOUR) {
    const text = `by the hour, the period may be at most ${MAX_HOURLY / DAY} days long`;
    throw invalidInput("interval", "too_long", text);
  }
  return { from: new Date(from), to: new Date(to) };
}

type Zoned = Temporal.ZonedDateTime;

const startOf: Record<Interval, (time: Zoned) => Zoned> = {
  hour: (time) => time.with({ minute: 0, second: 0, millisecond: 0, microsecond: 0, nanosecond: 0 }),
  day: (time) => time.startOfDay(),
  week: (time) =>
    time
      .toPlainDate()
      .subtract({ days: time.dayOfWeek - 1 })
      .toZonedDateTime(time.timeZoneId),
  month: (time) => time.toPlainDate().with({ day: 1 }).toZonedDateTime(time.timeZoneId),
};

const nextOf: Record<Interval, (start: Zoned) => Zoned> = {
  hour: (start) => {
    const next = startOf.hour(start.add({ hours: 1 }));
    // Where clocks go back by half an hour, an hour lasts an hour and a half.
    return next.epochMilliseconds > start.epochMilliseconds ? next : startOf.hour(start.add({ hours: 2 }));
  },
  day: (start) => start.toPlainDate().add({ days: 1 }).toZonedDateTime(start.timeZoneId),
  week: (start) => start.toPlainDate().add({ weeks: 1 }).toZonedDateTime(start.timeZoneId),
  month: (start) => start.toPlainDate().add({ months: 1 }).toZonedDateTime(start.timeZoneId),
};

/** Cuts a period at the hours, days, weeks (from Monday) or months of a zone: without gaps or overlaps. */
export function intervalsOf({ from, to }: Range, timezone: string, interval: Interval): Range[] {
  const ranges: Range[] = [];
  let start = startOf[interval](
    Temporal.Instant.fromEpochMilliseconds(from.getTime()).toZonedDateTimeISO(timezone),
  );
  while (start.epochMilliseconds < to.getTime()) {
    const next = nextOf[interval](start);
    const range = {
      from: new Date(Math.max(start.epochMilliseconds, from.getTime())),
      to: new Date(Math.min(next.epochMilliseconds, to.getTime())),
    };
    if (range.from < range.to) ranges.push(range);
    start = next;
  }
  return ranges;
}
