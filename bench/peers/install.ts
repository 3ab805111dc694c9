/** Installs what only the other sides need, so that the project itself stays light. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKOUT } from "../../local/paths";

const HERE = import.meta.dir;
const GENERATED = join(HERE, "generated");

async function run(command: string[], cwd: string, env: Record<string, string> = {}): Promise<void> {
  const child = Bun.spawn(command, { cwd, env: { ...process.env, ...env }, stdout: "pipe", stderr: "pipe" });
  const [out, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed:\n${out}${errors}`);
}

/** Prisma's client for Node: of the project's own schema, as JavaScript. */
async function generateClient(): Promise<void> {
  const schema = readFileSync(join(CHECKOUT, "prisma/schema.prisma"), "utf8").replace(
    /generator client \{[^}]*\}/,
    'generator client {\n  provider = "prisma-client"\n  output = "./client"\n  runtime = "nodejs"\n}',
  );
  const path = join(GENERATED, "schema.prisma");
  if (existsSync(join(GENERATED, "client.js")) && readFileSync(path, "utf8") === schema) return;
  mkdirSync(GENERATED, { recursive: true });
  writeFileSync(path, schema);
  await run([join(CHECKOUT, "node_modules/.bin/prisma"), "generate", "--schema", path], CHECKOUT, {
    PRISMA_SCHEMA_ENGINE_BINARY: "/bin/true",
    PRISMA_HIDE_UPDATE_MESSAGE: "1",
  });
  const bundle = ["build", join(GENERATED, "client/client.ts"), "--target=node", "--format=esm"];
  const into = ["--outfile", join(GENERATED, "client.js"), "--external", "@prisma/*"];
  await run([process.execPath, ...bundle, ...into], CHECKOUT);
}

/** @throws Error with the installer's words */
export async function installPeers(): Promise<void> {
  await run([process.execPath, "install", "--frozen-lockfile"], HERE);
  await generateClient();
}

/** What runs, with its version, for the tables. */
export function versions(): Record<string, string> {
  const read = (path: string) => JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
  const own = read(CHECKOUT).dependencies as Record<string, string>;
  const peers = read(HERE).dependencies as Record<string, string>;
  const named = (from: Record<string, string>, names: string[]) =>
    Object.fromEntries(names.map((name) => [name, from[name] ?? ""]));
  return {
    bun: Bun.version,
    ...named(own, ["hono", "@prisma/client", "mongoose", "argon2"]),
    ...named(peers, ["node", "express", "fastify", "better-auth", "mysql2", "mongodb", "autocannon"]),
  };
}
