/** What Express and Fastify share: the same libraries, called as their documentation shows it. */

import { randomUUID } from "node:crypto";
import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import argon2 from "argon2";
import jwt from "jsonwebtoken";
import mongoose from "mongoose";
import { itemOf, meOf, productFrom, productOf } from "./answers.js";
import { PrismaClient } from "./generated/client.js";

const { DATABASE_URL, MONGODB_URI, JWT_SECRET } = process.env;

const url = new URL(DATABASE_URL);
const prisma = new PrismaClient({
  adapter: new PrismaMariaDb({
    host: url.hostname,
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
    allowPublicKeyRetrieval: true,
    connectionLimit: 10,
    timezone: "Z",
  }),
});

const text = { type: String, required: true };
const variant = new mongoose.Schema({
  _id: text,
  sku: text,
  skuKey: text,
  name: { type: String, default: null },
  price: { type: Number, min: 0, required: true },
  currency: text,
  compareAtPrice: { type: Number, default: null },
  gtin: { type: String, default: null },
  weight: { type: Number, default: null },
  options: { type: [{ _id: false, name: String, value: String }], default: [] },
});
const Product = mongoose.model(
  "Product",
  new mongoose.Schema(
    {
      _id: text,
      name: text,
      nameKey: String,
      slug: text,
      slugKey: String,
      description: { type: String, default: "" },
      brand: String,
      brandKey: String,
      status: { type: String, enum: ["draft", "active", "archived"], required: true },
      categoryIds: [String],
      categoryTree: [String],
      variants: [variant],
      skuKeys: [String],
      price: { type: Number, min: 0, required: true },
      currency: text,
      priceMax: Number,
      compareAtPrice: Number,
      variantCount: Number,
      optionNames: [String],
      attrs: { type: [mongoose.Schema.Types.Mixed], default: undefined },
      metadata: mongoose.Schema.Types.Mixed,
      popularity: Number,
      inStock: Boolean,
      stockRevision: Number,
      version: Number,
      createdAt: Date,
      updatedAt: Date,
      deletedAt: Date,
    },
    { collection: "products", versionKey: false, autoIndex: false },
  ),
);

/** Opens what the server needs before it listens. */
export const connect = () =>
  Promise.all([mongoose.connect(MONGODB_URI, { maxPoolSize: 16 }), prisma.$connect()]);

/** Who sends a token whose session has not ended; null for nobody. */
export async function authenticate(authorization) {
  let claims;
  try {
    claims = jwt.verify((authorization ?? "").replace(/^Bearer /, ""), JWT_SECRET, { algorithms: ["HS256"] });
  } catch {
    return null;
  }
  const session = await prisma.session.findUnique({
    where: { id: claims.sid },
    include: {
      user: { include: { roles: { include: { role: { include: { permissions: true } } } } } },
    },
  });
  if (!session || session.userId !== claims.sub || session.endedAt || session.absoluteExpiresAt < new Date())
    return null;
  if (session.user.bannedAt || session.user.deletedAt) return null;
  const roles = session.user.roles.map(({ role }) => role);
  return {
    user: session.user,
    roles: roles.map(({ name }) => name),
    permissions: [
      ...new Set(roles.flatMap(({ permissions }) => permissions.map(({ permissionName }) => permissionName))),
    ],
  };
}

export const readMe = ({ user, roles, permissions }) => meOf(user, roles, permissions);

export async function readProduct(id) {
  const product = await Product.findOne({ _id: id, deletedAt: null });
  return product && productOf(product);
}

export async function listProducts() {
  const products = await Product.find({ status: "active", slugKey: { $exists: true } })
    .sort({ price: 1, _id: 1 })
    .limit(20);
  return products.map(itemOf);
}

export async function createProduct(body) {
  const product = await Product.create(productFrom(body, randomUUID()));
  return productOf(product);
}

/** Checks a password and opens a session. @returns a token, or null */
export async function signIn({ email, password }) {
  const user = await prisma.user.findUnique({ where: { emailCanonical: email } });
  if (!user?.hashedPassword || !(await argon2.verify(user.hashedPassword, password))) return null;
  const now = new Date();
  const until = new Date(now.getTime() + 86_400_000);
  const session = await prisma.session.create({
    data: {
      id: randomUUID(),
      userId: user.id,
      createdAt: now,
      rotatedAt: now,
      lastUsedAt: now,
      idleExpiresAt: until,
      absoluteExpiresAt: until,
      userAgent: "bench",
      ip: "127.0.0.1",
    },
  });
  return jwt.sign({ sub: user.id, sid: session.id }, JWT_SECRET, { expiresIn: "15m" });
}
