/** Better Auth on Hono and Bun, with its own tables in the same MySQL, as its documentation shows it. */
import argon2 from "argon2";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { bearer } from "better-auth/plugins";
import { Hono } from "hono";
import { createPool } from "mysql2/promise";

const { DATABASE_URL, JWT_SECRET, PORT } = process.env;
const PARAMETERS = { type: argon2.argon2id, memoryCost: 19456, timeCost: 2, parallelism: 1 };

const auth = betterAuth({
  secret: JWT_SECRET,
  baseURL: `http://127.0.0.1:${PORT}`,
  database: createPool({ uri: DATABASE_URL.split("?")[0], connectionLimit: 10, timezone: "Z" }),
  emailAndPassword: {
    enabled: true,
    password: {
      hash: (password) => argon2.hash(password, PARAMETERS),
      verify: ({ hash, password }) => argon2.verify(hash, password),
    },
  },
  plugins: [bearer()],
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});
const { runMigrations } = await getMigrations(auth.options);
await runMigrations();

const account = { email: "bench-better-auth@example.com", password: "a password of benchmarks" };
// It is started several times on one database.
const { token } = await auth.api
  .signUpEmail({ body: { ...account, name: "Bench" } })
  .catch(() => auth.api.signInEmail({ body: account }));

const app = new Hono();
app.get("/health/live", (c) => c.json({ data: { status: "up" } }));
app.get("/bench/token", (c) => c.json({ data: { token } }));
app.get("/api/users/me", async (c) => {
  const session = await auth.api.getSession({ headers: c.req.raw.headers });
  return session ? c.json({ data: session.user }) : c.json({ error: "unauthenticated" }, 401);
});
app.post("/auth/login", async (c) => {
  const { token } = await auth.api.signInEmail({ body: account });
  return c.json({ data: { accessToken: token } });
});
Bun.serve({ port: Number(PORT), hostname: "127.0.0.1", fetch: app.fetch });
