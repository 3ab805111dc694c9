/**
 * Holds that zod's answers, Prisma's rows, Mongoose's documents and the client's types agree. Most of it is
 * checked by the compiler (`tsc --noEmit`); what types cannot say of a Mongoose schema is run.
 */
import { describe, expect, test } from "bun:test";
import type { InferRequestType, InferResponseType } from "hono/client";
import { type Connection, createConnection, type Model } from "mongoose";
import type { z } from "zod";
import type { AuditAction } from "../../src/audit/actions";
import type { AuditActor, AuditEntry } from "../../src/audit/entry";
import type { AuditEntryResponse, OwnAuditEntryResponse } from "../../src/audit/schema";
import type { CodePurpose } from "../../src/auth/codes.store";
import type { TotpState } from "../../src/auth/mfa/store";
import type { PasskeyResponse } from "../../src/auth/passkeys/schema";
import type { ChallengePurpose } from "../../src/auth/passkeys/store";
import type { userResponse } from "../../src/auth/schema";
import type { SessionEndReason, SignInMethod } from "../../src/auth/sessions.store";
import type { MongoTx } from "../../src/db/mongo";
import type { MySqlTx } from "../../src/db/prisma";
import type {
  AuditEntry as AuditRow,
  EmailChange,
  Job,
  Passkey,
  Prisma,
  Session,
  TotpFactor,
  User,
  UserExport,
  UserSetting,
  VerificationCode,
  WebauthnChallenge,
} from "../../src/generated/prisma/client";
import type { LevelResponse, LocationResponse, MovementResponse } from "../../src/inventory/answers";
import {
  type LevelDocument,
  type LocationDocument,
  levelModel,
  locationModel,
  type MovementDocument,
  movementModel,
} from "../../src/inventory/model";
import type { LeasedJob } from "../../src/jobs/jobs";
import type { Problem } from "../../src/lib/errors";
import type { ProductResponse } from "../../src/products/answers";
import { type CategoryDocument, categoryModel } from "../../src/products/categories/model";
import type { CategoryResponse } from "../../src/products/categories/schema";
import { type ProductDocument, productModel } from "../../src/products/model";
import type { ManagedUserResponse } from "../../src/users/admin/schema";
import type { toUserResponse, UserResponse } from "../../src/users/mapper";
import type { EmailChangeEnd } from "../../src/users/me/email-changes.store";
import type { ExportResponse, PendingEmailChange } from "../../src/users/me/schema";
import type { RoleResponse } from "../../src/users/roles/schema";
import type { RoleRow } from "../../src/users/roles/store";
import type { SettingName } from "../../src/users/settings.store";
import type { Client } from "../app";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : { expected: B; got: A };
type Extends<A, B> = [A] extends [B] ? true : { expected: B; got: A };
/** Fails to compile unless it is given `true`. */
type Hold<_ extends true> = never;

/** What a field of a document becomes in JSON. */
type Json<T> = T extends Date ? string : T;
/** The fields that a response and a document have in common, as JSON; `Mapped` ones change on the way. */
type Common<Response, Document, Mapped extends PropertyKey = never> = {
  [Name in Exclude<keyof Response & keyof Document, Mapped>]-?: Json<Exclude<Document[Name], undefined>>;
};
type Shown<Response, Document, Mapped extends PropertyKey = never> = {
  [Name in Exclude<keyof Response & keyof Document, Mapped>]-?: Response[Name];
};
type Agree<Response, Document, Mapped extends PropertyKey = never> = Extends<
  Common<Response, Document, Mapped>,
  Shown<Response, Document, Mapped>
>;
/** Fields that never leave. */
type Internal =
  | "_id"
  | "hashedPassword"
  | "emailCanonical"
  | "authEpoch"
  | "deletedAt"
  | "skuKey"
  | "skuKeys"
  | "slugKey"
  | "nameKey"
  | "codeKey"
  | "stockRevision"
  | "gtinKeys"
  | "pictureRevision"
  | "credentialId"
  | "publicKey"
  | "signCount";
type KeepsInside<Response> = Equal<Extract<keyof Response, Internal>, never>;

/** Checked by the compiler alone. */
export type Checked = [
  // Answers and the documents they come from.
  Hold<Agree<ProductResponse, ProductDocument, "price" | "variants" | "compareAtPrice" | "picture">>,
  Hold<
    Agree<
      ProductResponse["variants"][number],
      ProductDocument["variants"][number],
      "price" | "compareAtPrice"
    >
  >,
  Hold<Agree<CategoryResponse, CategoryDocument>>,
  Hold<Agree<LocationResponse, LocationDocument>>,
  Hold<Agree<LevelResponse, LevelDocument>>,
  Hold<Agree<MovementResponse, MovementDocument>>,
  Hold<KeepsInside<ProductResponse>>,
  Hold<KeepsInside<ProductResponse["variants"][number]>>,
  Hold<KeepsInside<LocationResponse>>,
  Hold<KeepsInside<LevelResponse>>,
  Hold<KeepsInside<UserResponse>>,
  Hold<KeepsInside<ManagedUserResponse>>,
  // The described answer, the mapper's, and Prisma's row.
  Hold<Extends<UserResponse, z.infer<typeof userResponse>>>,
  Hold<Extends<User, Parameters<typeof toUserResponse>[0]>>,
  Hold<Agree<UserResponse, User>>,
  Hold<Agree<ManagedUserResponse, User, "status">>,
  Hold<Agree<RoleResponse, RoleRow>>,
  Hold<Agree<AuditEntryResponse, AuditRow, "detail">>,
  Hold<Agree<OwnAuditEntryResponse, AuditRow, "detail">>,
  Hold<Extends<CodePurpose, VerificationCode["purpose"]>>,
  Hold<Extends<SessionEndReason, NonNullable<Session["endReason"]>>>,
  Hold<Extends<SignInMethod, Session["method"]>>,
  Hold<Extends<TotpState, TotpFactor["state"]>>,
  Hold<Extends<ChallengePurpose, WebauthnChallenge["purpose"]>>,
  Hold<Agree<PasskeyResponse, Passkey>>,
  Hold<KeepsInside<PasskeyResponse>>,
  Hold<Extends<AuditAction, AuditRow["action"]>>,
  Hold<Extends<AuditActor["kind"], AuditRow["actorKind"]>>,
  Hold<Extends<Omit<AuditEntry, "action" | "actor" | "detail">, Partial<AuditRow>>>,
  Hold<Agree<LeasedJob, Job, "payload" | "progress">>,
  Hold<Agree<PendingEmailChange, EmailChange>>,
  Hold<Agree<ExportResponse, UserExport, "size" | "status">>,
  Hold<Extends<ExportResponse["status"], UserExport["status"]>>,
  Hold<Extends<SettingName, UserSetting["kind"]>>,
  Hold<Extends<EmailChangeEnd, NonNullable<EmailChange["endReason"]>>>,
  // A transaction is opaque and belongs to its database.
  Hold<Equal<Extends<MySqlTx, MongoTx>, { expected: MongoTx; got: MySqlTx }>>,
  Hold<Equal<Extends<MongoTx, MySqlTx>, { expected: MySqlTx; got: MongoTx }>>,
  Hold<Equal<Extends<Prisma.TransactionClient, MySqlTx> extends true ? true : false, false>>,
  // What the client sees.
  Hold<Extends<InferResponseType<Client["api"]["products"]["$post"], 201>, { data: ProductResponse }>>,
  Hold<Extends<InferResponseType<Client["api"]["products"]["$post"], 404>, Problem>>,
  Hold<
    Extends<{ json: { name: string; price: number } }, InferRequestType<Client["api"]["products"]["$post"]>>
  >,
  Hold<
    Equal<
      Extends<{ json: { name: number } }, InferRequestType<Client["api"]["products"]["$post"]>> extends true
        ? true
        : false,
      false
    >
  >,
  // A client that lost its types would take anything.
  Hold<Equal<0 extends 1 & Client["api"] ? true : false, false>>,
  Hold<Equal<0 extends 1 & InferResponseType<Client["api"]["products"]["$get"], 200> ? true : false, false>>,
];

const time = new Date("2026-01-02T03:04:05.678Z");

const product: Required<ProductDocument> = {
  _id: "p",
  name: "Lamp",
  deletedBy: "user:1",
  nameKey: "lamp",
  slug: "lamp",
  slugKey: "lamp",
  description: "Bright",
  brand: "Öl",
  brandKey: "öl",
  attrs: [{ key: "weight", value: 1.5, unit: "kg" }],
  attrKeys: ["weight=1.5"],
  metadata: { shelf: "a", row: 3, cold: false },
  status: "draft",
  categoryIds: ["c"],
  categoryTree: ["c", "r"],
  variants: [
    {
      _id: "v",
      sku: "L-1",
      skuKey: "l-1",
      name: null,
      price: Number.MAX_SAFE_INTEGER,
      currency: "USD",
      compareAtPrice: 5000,
      gtin: null,
      weight: 1200,
      options: [{ name: "size", value: "M" }],
    },
  ],
  skuKeys: ["l-1"],
  price: Number.MAX_SAFE_INTEGER,
  currency: "USD",
  popularity: 2,
  inStock: true,
  stockRevision: 7,
  version: 3,
  pictureSequence: 1,
  priceMax: Number.MAX_SAFE_INTEGER,
  compareAtPrice: 5000,
  variantCount: 1,
  optionNames: ["size"],
  gtinKeys: ["04006381333931"],
  picture: { id: "i", alt: "", width: 2, height: 1, widths: [2], avifWidths: [] },
  pictureRevision: 1,
  createdAt: time,
  updatedAt: time,
  deletedAt: null,
};

const category: Required<CategoryDocument> = {
  _id: "c",
  name: "Lamps",
  slug: "lamps",
  path: "home/lamps",
  parentId: "r",
  ancestors: ["r"],
  position: 1,
  attributes: [{ key: "colour", type: "enum", unit: null, values: ["red"] }],
  mergedInto: "m",
  version: 1,
  createdAt: time,
  updatedAt: time,
};

const location: Required<LocationDocument> = {
  _id: "l",
  code: "MAIN",
  codeKey: "main",
  name: "Main",
  priority: 1,
  active: true,
  levelCount: 2,
  version: 1,
  createdAt: time,
  updatedAt: time,
};

const level: Required<LevelDocument> = {
  _id: "s",
  sku: "L-1",
  skuKey: "l-1",
  locationId: "l",
  onHand: 5,
  reserved: 2,
  available: 3,
  sequence: 4,
  formerSkuKeys: ["old"],
  safetyThreshold: null,
  backorder: "deny",
  backorderLimit: null,
  low: false,
  lowNoticeAt: time,
  version: 1,
  createdAt: time,
  updatedAt: time,
};

const movement: Required<MovementDocument> = {
  _id: "m",
  levelId: "s",
  sequence: 4,
  sku: "L-1",
  skuKey: "l-1",
  locationId: "l",
  kind: "reserve",
  onHand: 0,
  reserved: 2,
  before: { onHand: 5, reserved: 0 },
  after: { onHand: 5, reserved: 2 },
  reason: null,
  reference: "order 1",
  reservationId: "r",
  transferId: null,
  reversesId: "sale",
  actorId: "system",
  missing: 0,
  createdAt: time,
};

describe("a document's type and its Mongoose schema", () => {
  const kinds: [string, (connection: Connection) => Model<unknown>, object][] = [
    ["product", productModel as never, product],
    ["category", categoryModel as never, category],
    ["location", locationModel as never, location],
    ["level", levelModel as never, level],
    ["movement", movementModel as never, movement],
  ];
  test.each(kinds)("%s: every field is in both, and goes through unchanged", async (_, modelOf, document) => {
    const connection = createConnection();
    const Kind = modelOf(connection);
    // The schemas throw on a field they do not know.
    const made = new Kind(document);
    await made.validate();
    expect(made.toObject({ flattenMaps: true })).toEqual(document as never);
    const fields = new Set(Object.keys(Kind.schema.paths).map((path) => path.split(".")[0] ?? path));
    expect([...fields].sort()).toEqual(Object.keys(document).sort());
    await connection.destroy();
  });
});
