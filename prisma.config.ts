import { defineConfig } from "prisma/config";

// `env()` of prisma/config throws when a variable is unset, even for `generate`, which needs no database.
export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations", seed: "bun prisma/seed.ts" },
  datasource: { url: process.env.DATABASE_URL ?? "" },
});
