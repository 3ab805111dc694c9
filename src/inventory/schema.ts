import { z } from "zod";
import { idSchema, pageQuery } from "../http/fields";
import { lineSchema, skuSchema } from "../products";
import { BACKORDER_POLICIES, RESERVATION_STATUSES } from "./model";
import { MAX_QUANTITY } from "./stock";

/** Most lines of one reservation or transfer. */
export const MAX_LINES = 100;
/** How long a reservation holds when it does not say, in seconds. */
const DEFAULT_TTL = 15 * 60;
/** The longest it may ask for at once, in seconds; it can be renewed. */
const MAX_TTL = 7 * 24 * 3600;

const whole = (min: number, max: number) =>
  z.int("must be a whole number").min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);

const quantitySchema = whole(1, MAX_QUANTITY);
const reasonSchema = lineSchema(500);
const referenceSchema = lineSchema(200).meta({
  description: "What it belongs to elsewhere: an order, a delivery note",
});

export const idParam = z.object({ id: idSchema });

export const createLocationSchema = z
  .strictObject({
    code: lineSchema(50).meta({ example: "MAIN" }),
    name: lineSchema(200),
    priority: whole(0, 1_000_000)
      .default(100)
      .meta({ description: "Smaller is taken first when a reservation names no location" }),
    active: z.boolean().default(true),
  })
  .meta({ id: "CreateLocation" });

export const changeLocationSchema = z
  .strictObject({
    code: lineSchema(50),
    name: lineSchema(200),
    priority: whole(0, 1_000_000),
    active: z.boolean(),
  })
  .partial()
  .refine((change) => Object.keys(change).length > 0, "must change something")
  .meta({ id: "ChangeLocation" });

const settingsSchema = z
  .strictObject({
    safetyThreshold: whole(0, MAX_QUANTITY)
      .nullable()
      .meta({ description: "Stock is low when no more than this is available; null for never" }),
    backorder: z.enum(BACKORDER_POLICIES, "must be deny or allow"),
    backorderLimit: whole(1, MAX_QUANTITY)
      .nullable()
      .meta({ description: "How many may be promised that are not there; null for any number" }),
  })
  .meta({ id: "Settings" });

export const createLevelSchema = z
  .strictObject({
    sku: skuSchema,
    locationId: idSchema,
    ...settingsSchema.partial().shape,
  })
  .meta({ id: "CreateLevel" });

export const changeLevelSchema = settingsSchema
  .partial()
  .refine((change) => Object.keys(change).length > 0, "must change something");

export const listLevelsSchema = z.strictObject({
  sku: skuSchema.optional(),
  locationId: idSchema.optional(),
  ...pageQuery,
});

export const listLowSchema = z.strictObject({ locationId: idSchema.optional(), ...pageQuery });

/** What an adjustment may be: goods that came, came back, were sold over the counter, or were miscounted. */
const ADJUSTMENT_KINDS = ["adjust", "receive", "return", "sell"] as const;

export const adjustSchema = z
  .strictObject({
    sku: skuSchema,
    locationId: idSchema,
    delta: whole(-MAX_QUANTITY, MAX_QUANTITY)
      .refine((delta) => delta !== 0, "must not be 0")
      .meta({ description: "Units that came (positive) or left (negative)", example: -2 }),
    kind: z.enum(ADJUSTMENT_KINDS, "must be adjust, receive, return or sell").default("adjust"),
    reason: reasonSchema,
    reference: referenceSchema.nullish(),
    reverses: idSchema.optional().meta({
      description:
        "Of a return: the movement of the sale whose goods came back; no more come back than were sold",
    }),
  })
  .refine(({ kind, reverses }) => reverses === undefined || kind === "return", {
    path: ["reverses"],
    message: "goes with kind: return",
  })
  .refine(({ kind, delta }) => kind === "adjust" || (kind === "sell") === delta < 0, {
    path: ["delta"],
    message: "receive and return take a positive number, sell a negative one",
  })
  .meta({ id: "Adjust" });

export const setSchema = z
  .strictObject({
    sku: skuSchema,
    locationId: idSchema,
    expected: whole(-MAX_QUANTITY, MAX_QUANTITY).meta({
      description: "What you believe is on hand; 409 with the current quantity when it is not",
    }),
    quantity: whole(0, MAX_QUANTITY),
    reason: reasonSchema,
    reference: referenceSchema.nullish(),
  })
  .meta({ id: "Set" });

const linesOf = <Line extends z.ZodType>(line: Line) =>
  z
    .array(line, "must be a list")
    .min(1, "must not be empty")
    .max(MAX_LINES, `must be at most ${MAX_LINES} lines`);

export const transferSchema = z
  .strictObject({
    fromLocationId: idSchema,
    toLocationId: idSchema,
    lines: linesOf(z.strictObject({ sku: skuSchema, quantity: quantitySchema })),
    reason: reasonSchema.nullish(),
    reference: referenceSchema.nullish(),
  })
  .refine(({ fromLocationId, toLocationId }) => fromLocationId !== toLocationId, {
    path: ["toLocationId"],
    message: "must be another location",
  })
  .meta({ id: "Transfer" });

const ttlSchema = whole(1, MAX_TTL).default(DEFAULT_TTL).meta({ description: "Seconds" });

export const reserveSchema = z
  .strictObject({
    lines: linesOf(
      z.strictObject({
        sku: skuSchema,
        quantity: quantitySchema,
        locationId: idSchema.optional().meta({
          description: "Where from; chosen by priority when it is left out",
        }),
      }),
    ),
    ttlSeconds: ttlSchema,
    reference: referenceSchema.nullish(),
  })
  .meta({ id: "Reserve" });

/** A shopper's own: where from, for whom and for how long is not theirs to choose. */
export const shopperReserveSchema = z
  .strictObject({
    lines: linesOf(z.strictObject({ sku: skuSchema, quantity: quantitySchema })),
    ttlSeconds: whole(1, MAX_TTL)
      .optional()
      .meta({ description: "Seconds; as long as the shop lets you when left out" }),
  })
  .meta({ id: "OwnReserve" });

/** What a commit or release names; all that is held when it names nothing. */
export const endSchema = z
  .strictObject({ lines: linesOf(z.strictObject({ sku: skuSchema, quantity: quantitySchema })).optional() })
  .optional()
  .meta({ description: "Units that leave or go back; all that the reservation holds when left out" });

export type EndReservation = z.output<typeof endSchema>;

export const renewSchema = z.strictObject({ ttlSeconds: ttlSchema }).meta({ id: "Renew" });

export const listReservationsSchema = z.strictObject({
  status: z.enum(RESERVATION_STATUSES).default("active"),
  ...pageQuery,
});

export const listMovementsSchema = z
  .strictObject({
    sku: skuSchema.optional(),
    locationId: idSchema.optional(),
    reservationId: idSchema.optional(),
    ...pageQuery,
  })
  .refine(({ sku, reservationId }) => sku === undefined || reservationId === undefined, {
    path: ["reservationId"],
    message: "give a SKU or a reservation, not both",
  })
  .refine(({ sku, locationId }) => locationId === undefined || sku !== undefined, {
    path: ["locationId"],
    message: "goes with a SKU",
  });

export const verifyQuerySchema = z.strictObject({
  sku: skuSchema.optional(),
  cursor: z.string().max(2000).optional(),
});
export const repairSchema = z.strictObject({ sku: skuSchema }).meta({ id: "Repair" });

export type CreateLocation = z.output<typeof createLocationSchema>;
export type ChangeLocation = z.output<typeof changeLocationSchema>;
export type CreateLevel = z.output<typeof createLevelSchema>;
export type ChangeLevel = z.output<typeof changeLevelSchema>;
export type ListLevels = z.output<typeof listLevelsSchema>;
export type Adjust = z.output<typeof adjustSchema>;
export type SetQuantity = z.output<typeof setSchema>;
export type Transfer = z.output<typeof transferSchema>;
export type Reserve = z.output<typeof reserveSchema>;
export type ShopperReserve = z.output<typeof shopperReserveSchema>;
export type ListReservations = z.output<typeof listReservationsSchema>;
export type ListMovements = z.output<typeof listMovementsSchema>;
