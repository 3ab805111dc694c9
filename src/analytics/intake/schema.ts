import { z } from "zod";
import { dataOf } from "../../http/envelopes";
import { countSchema } from "../../http/fields";
import { EVENT_TYPES, FLAGS, OUTCOMES, type Outcome } from "../model";
import { contextSchema, line, sparse } from "./context";

/** At most so many events in one batch. */
export const MAX_EVENTS = 500;
/** Largest event, in bytes of its JSON. */
export const MAX_EVENT = 32 * 1024;
/** Levels that properties may lie deep. */
export const MAX_DEPTH = 10;
/** Keys and list items that one event may have, all levels together. */
export const MAX_KEYS = 2000;

const time = z.iso.datetime({ offset: true, error: "must be an ISO 8601 time with Z or an offset" });

const properties = z.record(z.string(), z.unknown(), "must be an object").nullish();

/** One event, as in Segment's specification. Keys of Segment's libraries that are of no use here are accepted. */
export const eventSchema = sparse(
  z
    .object({
      messageId: z
        .string("is required: an id of the client's making, such as a uuid")
        .regex(/^[\x21-\x7e]{1,100}$/, "must be 1 to 100 visible ASCII characters"),
      type: z.enum(EVENT_TYPES, "must be track, page, screen, identify, group or alias"),
      event: line(200)
        .nullish()
        .meta({ description: "The name of a track event", example: "Product Viewed" }),
      name: line(500).nullish().meta({ description: "The name of a page" }),
      category: line(200).nullish(),
      anonymousId: line(100).nullish(),
      userId: line(100).nullish(),
      timestamp: time.nullish().meta({ description: "When it happened, by the client's clock" }),
      sentAt: time
        .nullish()
        .meta({ description: "When it was sent, by the same clock; instead of the batch's" }),
      properties,
      traits: properties,
      context: contextSchema.nullish(),
      originalTimestamp: time
        .nullish()
        .catch(null)
        .meta({ description: "The same, as some libraries call it" }),
      groupId: line(200).nullish(),
      previousId: line(100).nullish(),
      receivedAt: z.unknown().optional(),
      integrations: z.unknown().optional(),
      channel: z.unknown().optional(),
      version: z.unknown().optional(),
      writeKey: z.unknown().optional(),
      _metadata: z.unknown().optional(),
    })
    .refine((event) => event.type !== "track" || typeof event.event === "string", {
      path: ["event"],
      message: "a track event needs the name of what happened",
    })
    .refine(
      ({ type, userId, anonymousId }) =>
        type !== "identify" || typeof userId === "string" || typeof anonymousId === "string",
      { path: ["userId"], message: "identify needs the person's id, or the device's (anonymousId)" },
    ),
);

const KNOWN_FIELDS: ReadonlySet<string> = new Set(Object.keys(eventSchema.out.shape));

/** Fields of an event that have a meaning here. */
export const knownFields = (event: object): string[] =>
  Object.keys(event).filter((field) => KNOWN_FIELDS.has(field));

/** Fields of an event that have no meaning here; they are left out. */
export const unknownFields = (event: object): string[] =>
  Object.keys(event).filter((field) => !KNOWN_FIELDS.has(field));

export type TrackedEvent = z.output<typeof eventSchema>;

/** As the OpenAPI document shows what is judged piece by piece. */
const shown = (schema: z.ZodType) => {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: "input" });
  return json;
};

/**
 * A batch. Its events are judged one by one, and its context field by field, so that what is wrong with one does
 * not cost the others; the OpenAPI document shows what they should be.
 */
export const batchSchema = sparse(
  z.object({
    batch: z
      .array(z.unknown().meta(shown(eventSchema)), "must be a list of events")
      .max(MAX_EVENTS, `must be at most ${MAX_EVENTS} events`)
      .meta({
        description: "Events as in Segment's specification: track, page, screen, identify, group, alias",
      }),
    sentAt: time.nullish().meta({ description: "When the batch was sent, by the client's clock" }),
    context: (
      z.looseObject({}, "must be an object").meta(shown(contextSchema)) as z.ZodType<
        unknown,
        z.input<typeof contextSchema>
      >
    )
      .nullish()
      .meta({ description: "For every event without a context of its own" }),
  }),
);

export type Batch = z.output<typeof batchSchema>;

export const batchAnswer = dataOf(
  z.object({
    accepted: z.int().meta({ description: "Events that are stored now and were not before" }),
    duplicate: z
      .int()
      .meta({ description: "Events whose messageId is stored already, or twice in the batch" }),
    rejected: z.array(
      z.object({ index: z.int(), messageId: z.string().nullable(), code: z.string(), reason: z.string() }),
    ),
    ignored: z.array(z.object({ path: z.string(), reason: z.string() })).meta({
      description:
        "Fields of the batch's context that cannot be read, and fields of events that are not known; they are left out",
    }),
    flagged: z
      .array(z.object({ index: z.int(), flags: z.array(z.enum(FLAGS)) }))
      .meta({ description: "Accepted events with something in them that cannot be right, or that was cut" }),
  }),
);

export type BatchResult = z.infer<typeof batchAnswer>["data"];

const outcomes = z.object(
  Object.fromEntries(OUTCOMES.map((name) => [name, z.int()])) as Record<Outcome, z.ZodInt>,
);

export const healthQuery = z.strictObject({
  hours: countSchema(168, 24).meta({ description: "How many of the last hours" }),
});
export const healthAnswer = dataOf(
  z.object({
    from: z.string(),
    to: z.string(),
    total: outcomes,
    minutes: z.array(outcomes.extend({ at: z.string() })).meta({ description: "Those in which events came" }),
    reasons: z.array(
      z.object({
        outcome: z.enum(OUTCOMES),
        reason: z.string(),
        count: z.int(),
        lastAt: z.string(),
        samples: z
          .array(
            z.object({
              origin: z.enum(["browser", "server"]),
              type: z.string().nullable(),
              kind: z.string().nullable(),
              fields: z.array(z.string()),
            }),
          )
          .meta({ description: "What such events looked like, without anything that their senders wrote" }),
      }),
    ),
  }),
);
