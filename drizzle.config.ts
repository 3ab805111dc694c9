import { defineConfig } from "drizzle-kit";

// Only for looking: `bun run db:studio` and `bun run db:check`. Prisma's migrations alone change the database.
export default defineConfig({
  dialect: "mysql",
  dbCredentials: { url: process.env.DATABASE_URL ?? "" },
  out: process.env.DRIZZLE_OUT ?? ".data/drizzle",
});
