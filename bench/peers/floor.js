/** The floor: Bun.serve and the bare drivers, the same reads and writes, and nothing around them. */
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import argon2 from "argon2";
import { MongoClient } from "mongodb";
import mysql from "mysql2/promise";
import { itemOf, meOf, productFrom, productOf } from "./answers.js";

const { DATABASE_URL, MONGODB_URI, JWT_SECRET, PORT } = process.env;
const pool = mysql.createPool({ uri: DATABASE_URL.split("?")[0], connectionLimit: 10, timezone: "Z" });
const client = await MongoClient.connect(MONGODB_URI, { maxPoolSize: 16 });
const products = client.db().collection("products");

const ME = `SELECT s.absolute_expires_at AS expiresAt, u.id, u.email, u.name, u.created_at AS createdAt,
  (SELECT GROUP_CONCAT(r.name) FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id) AS roles,
  (SELECT GROUP_CONCAT(DISTINCT rp.permission_name) FROM user_roles ur
    JOIN role_permissions rp ON rp.role_id = ur.role_id WHERE ur.user_id = u.id) AS permissions
  FROM sessions s JOIN users u ON u.id = s.user_id
  WHERE s.id = ? AND s.user_id = ? AND s.ended_at IS NULL AND u.banned_at IS NULL AND u.deleted_at IS NULL`;

/** What a list shows, and no more. */
const SHOWN = Object.fromEntries(
  "name slug brand status categoryIds price currency priceMax compareAtPrice variantCount optionNames inStock createdAt updatedAt"
    .split(" ")
    .map((field) => [field, 1]),
);

const listOf = (names) => (names === null ? [] : names.split(","));

async function authenticate(request) {
  const token = (request.headers.get("authorization") ?? "").slice(7);
  const [header, payload, mac = ""] = token.split(".");
  const right = createHmac("sha256", JWT_SECRET).update(`${header}.${payload}`).digest();
  const given = Buffer.from(mac, "base64url");
  if (given.length !== right.length || !timingSafeEqual(given, right)) return null;
  const { sub, sid, exp } = JSON.parse(Buffer.from(payload, "base64url").toString());
  if (exp * 1000 < Date.now()) return null;
  const [[row]] = await pool.execute(ME, [sid, sub]);
  if (!row || row.expiresAt < new Date()) return null;
  return { user: row, roles: listOf(row.roles), permissions: listOf(row.permissions) };
}

const refuse = (status) => Response.json({ error: status }, { status });

async function signIn(request) {
  const { email, password } = await request.json();
  const [[user]] = await pool.execute(
    "SELECT id, hashed_password AS hash FROM users WHERE email_canonical = ?",
    [email],
  );
  if (!user || !(await argon2.verify(user.hash, password))) return refuse(401);
  const now = new Date();
  const until = new Date(now.getTime() + 86_400_000);
  await pool.execute(
    `INSERT INTO sessions (id, user_id, created_at, rotated_at, last_used_at, idle_expires_at, absolute_expires_at,
      user_agent, ip) VALUES (?, ?, ?, ?, ?, ?, ?, 'bench', '127.0.0.1')`,
    [randomUUID(), user.id, now, now, now, until, until],
  );
  return Response.json({ data: { accessToken: "made" } });
}

Bun.serve({
  port: Number(PORT),
  hostname: "127.0.0.1",
  routes: {
    "/health/live": () => Response.json({ data: { status: "up" } }),
    "/api/users/me": async (request) => {
      const caller = await authenticate(request);
      if (!caller) return refuse(401);
      return Response.json({ data: meOf(caller.user, caller.roles, caller.permissions) });
    },
    "/api/products": {
      GET: async () => {
        const found = await products
          .find({ status: "active", slugKey: { $exists: true } }, { projection: SHOWN })
          .sort({ price: 1, _id: 1 })
          .limit(20)
          .toArray();
        return Response.json({ data: found.map(itemOf) });
      },
      POST: async (request) => {
        const caller = await authenticate(request);
        if (!caller?.permissions.includes("products:write")) return refuse(403);
        const product = productFrom(await request.json(), randomUUID());
        await products.insertOne(product);
        return Response.json({ data: productOf(product) }, { status: 201 });
      },
    },
    "/api/products/:id": async (request) => {
      const product = await products.findOne({ _id: request.params.id, deletedAt: null });
      return product ? Response.json({ data: productOf(product) }) : refuse(404);
    },
    "/auth/login": { POST: signIn },
  },
});
