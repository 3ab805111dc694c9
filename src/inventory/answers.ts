import { z } from "zod";
import { dataOf, pageOf } from "../http/envelopes";
import { BACKORDER_POLICIES, MOVEMENT_KINDS, RESERVATION_STATUSES } from "./model";

const locationResponse = z
  .object({
    id: z.string(),
    code: z.string(),
    name: z.string(),
    priority: z.number().int(),
    active: z.boolean(),
    version: z.number().int(),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .meta({ id: "Location" });

const levelResponse = z
  .object({
    id: z.string(),
    sku: z.string(),
    locationId: z.string(),
    onHand: z.number().int(),
    reserved: z.number().int(),
    available: z
      .number()
      .int()
      .meta({ description: "onHand - reserved; below zero what is promised and not there" }),
    safetyThreshold: z.number().int().nullable(),
    low: z.boolean(),
    backorder: z.enum(BACKORDER_POLICIES),
    backorderLimit: z.number().int().nullable(),
    sequence: z.number().int().meta({ description: "Number of the last movement" }),
    version: z.number().int(),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .meta({ id: "Level" });

const quantitiesResponse = z
  .object({ onHand: z.number().int(), reserved: z.number().int() })
  .meta({ id: "Quantities" });

const movementResponse = z
  .object({
    id: z.string(),
    levelId: z.string(),
    sequence: z.number().int(),
    sku: z.string(),
    locationId: z.string(),
    kind: z.enum(MOVEMENT_KINDS),
    change: quantitiesResponse,
    before: quantitiesResponse,
    after: quantitiesResponse,
    reason: z.string().nullable(),
    reference: z.string().nullable(),
    reservationId: z.string().nullable(),
    transferId: z.string().nullable(),
    reverses: z.string().nullable().meta({ description: "Of a return: the sale whose goods came back" }),
    actorId: z.string(),
    createdAt: z.string(),
  })
  .meta({ id: "Movement" });

const reservationResponse = z
  .object({
    id: z.string(),
    status: z.enum(RESERVATION_STATUSES),
    lines: z.array(
      z.object({
        sku: z.string(),
        quantity: z.number().int(),
        committed: z.number().int().meta({ description: "Units that have left" }),
        released: z.number().int().meta({ description: "Units that went back on sale, also by time" }),
        allocations: z.array(z.object({ locationId: z.string(), quantity: z.number().int() })),
      }),
    ),
    reference: z.string().nullable(),
    actorId: z.string(),
    expiresAt: z.string(),
    createdAt: z.string(),
    endedAt: z.string().nullable(),
  })
  .meta({ id: "Reservation" });

const shopperReservationResponse = reservationResponse
  .pick({ id: true, status: true, expiresAt: true, createdAt: true, endedAt: true })
  .extend({
    lines: z.array(
      z.object({
        sku: z.string(),
        quantity: z.number().int(),
        committed: z.number().int(),
        released: z.number().int(),
      }),
    ),
  })
  .meta({ id: "OwnReservation" });

const changedLevelResponse = z
  .object({ level: levelResponse, movement: movementResponse.nullable() })
  .meta({ id: "ChangedLevel" });

const transferResponse = z
  .object({ id: z.string(), movements: z.array(movementResponse) })
  .meta({ id: "TransferData" });

export const differenceSchema = z
  .object({
    levelId: z.string(),
    sku: z.string(),
    locationId: z.string(),
    problem: z.enum(["quantity", "sequence", "reservations"]).meta({
      description:
        "quantity: the level is not what its movements add up to; sequence: entries are missing or too many; reservations: what is reserved is not what living reservations hold",
    }),
    level: z.object({ onHand: z.number(), reserved: z.number(), sequence: z.number() }),
    movements: z.object({
      onHand: z.number(),
      reserved: z.number(),
      count: z.number(),
      missing: z.number(),
      lastSequence: z.number(),
    }),
    held: z.number().meta({ description: "Units that living reservations hold" }),
  })
  .meta({ id: "Difference" });

const verificationResponse = z
  .object({
    levels: z.number().int(),
    movements: z.number().int(),
    differences: z.array(differenceSchema),
  })
  .meta({ id: "Verification" });

const productInventoryResponse = z
  .object({
    productId: z.string(),
    inStock: z.boolean(),
    variants: z.array(
      z.object({
        variantId: z.string(),
        sku: z.string(),
        onHand: z.number().int(),
        reserved: z.number().int(),
        available: z.number().int(),
        levels: z.array(levelResponse),
      }),
    ),
  })
  .meta({ id: "ProductInventory" });

const repairResponse = z
  .object({
    differences: z.array(differenceSchema),
    movements: z.array(movementResponse),
  })
  .meta({ id: "RepairData" });

export const locationAnswer = dataOf(locationResponse);
export const locationListAnswer = dataOf(z.array(locationResponse));
export const levelAnswer = dataOf(levelResponse);
export const levelListAnswer = pageOf(levelResponse);
export const changedLevelAnswer = dataOf(changedLevelResponse);
export const transferAnswer = dataOf(transferResponse);
export const reservationAnswer = dataOf(reservationResponse);
export const reservationListAnswer = pageOf(reservationResponse);
export const shopperReservationAnswer = dataOf(shopperReservationResponse);
export const shopperReservationListAnswer = dataOf(z.array(shopperReservationResponse));
export const movementListAnswer = pageOf(movementResponse);
export const verificationAnswer = z.object({
  data: verificationResponse,
  page: z.object({ nextCursor: z.string().nullable(), hasMore: z.boolean() }),
});
export const repairAnswer = dataOf(repairResponse);
export const productInventoryAnswer = dataOf(productInventoryResponse);

export type LocationResponse = z.infer<typeof locationResponse>;
export type LevelResponse = z.infer<typeof levelResponse>;
export type MovementResponse = z.infer<typeof movementResponse>;
export type ReservationResponse = z.infer<typeof reservationResponse>;
export type ShopperReservationResponse = z.infer<typeof shopperReservationResponse>;
export type ChangedLevelResponse = z.infer<typeof changedLevelResponse>;
export type TransferResponse = z.infer<typeof transferResponse>;
export type Difference = z.infer<typeof differenceSchema>;
export type RepairResponse = z.infer<typeof repairResponse>;
export type Verification = z.infer<typeof verificationResponse>;
export type ProductInventoryResponse = z.infer<typeof productInventoryResponse>;
