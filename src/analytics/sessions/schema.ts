import { z } from "zod";
import { dataOf, pageOf } from "../../http/envelopes";
import { pageQuery } from "../../http/fields";
import { EVENT_TYPES, FLAGS, TIME_FLAGS } from "../model";
import { checkPeriod, periodSchema } from "../reports/period";

/** An event as the API shows it. */
const eventResponse = z
  .object({
    id: z.string(),
    type: z.enum(EVENT_TYPES),
    name: z.string(),
    at: z.string(),
    clientAt: z.string().nullable(),
    sentAt: z.string().nullable(),
    receivedAt: z.string(),
    timeFlags: z.array(z.enum(TIME_FLAGS)),
    flags: z.array(z.enum(FLAGS)).meta({ description: "Whatever is wrong with it, its time too" }),
    anonymousId: z.string().nullable(),
    userId: z.string().nullable(),
    bot: z.boolean(),
    origin: z.enum(["browser", "server"]),
    address: z.string().nullable(),
    userAgent: z.string().nullable(),
    page: z
      .object({
        url: z.string().nullable(),
        path: z.string().nullable(),
        referrer: z.string().nullable(),
        title: z.string().nullable(),
      })
      .nullable(),
    source: z.string(),
    properties: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Event" });

export type EventResponse = z.infer<typeof eventResponse>;

const sessionResponse = z
  .object({
    id: z.string(),
    visitor: z.string(),
    userId: z.string().nullable(),
    bot: z.boolean(),
    start: z.string(),
    end: z.string(),
    durationSeconds: z.number(),
    counts: z.object({
      events: z.int(),
      pages: z.int(),
      views: z.int(),
      adds: z.int(),
      orders: z.int(),
      searches: z.int(),
    }),
    revenue: z.array(z.object({ amount: z.int(), currency: z.string() })),
    bounced: z.boolean(),
    funnel: z.enum(["none", "viewed", "added", "ordered"]),
    source: z.string(),
    landing: z.string().nullable(),
  })
  .meta({ id: "Session" });

export const sessionParam = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/, "must be the id of a session"),
});
export const sessionEventsQuery = z.strictObject(pageQuery);

export type SessionResponse = z.infer<typeof sessionResponse>;
export const sessionListAnswer = pageOf(sessionResponse);
export const sessionAnswer = dataOf(sessionResponse);
export const eventListAnswer = pageOf(eventResponse);

export const visitorParam = z.object({
  visitor: z
    .string()
    .regex(/^[ud]:[^\p{Cc}]{1,100}$/u, "must be u: and the id of a person, or d: and an anonymous id"),
});
export const erasedAnswer = dataOf(z.object({ erased: z.int().meta({ description: "Events" }) }));

export const sessionsQuery = checkPeriod(
  periodSchema.extend({
    visitor: z
      .string()
      .regex(
        /^[udb]:[^\p{Cc}]{1,100}$/u,
        "must be a visitor as sessions name it, such as d:DEVICE or u:PERSON",
      )
      .optional(),
    ...pageQuery,
  }),
);
