import { existsSync } from "node:fs";
import { defineConfig } from "prisma/config";

// Bun has read .env already; Prisma's own command line runs on Node, which has not.
if (existsSync(".env") && !process.versions.bun) process.loadEnvFile(".env");

// `env()` of prisma/config throws when a variable is unset, even for `generate`, which needs no database.
export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations", seed: "bun prisma/seed.ts" },
  datasource: { url: process.env.DATABASE_URL ?? "" },
});
