/** The package that a frontend installs, as \`bun run build:client\` makes it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { buildClient } from "../local/build-client";
import { compileFrontend, prepareFrontend } from "./frontend";

const frontend = mkdtempSync(join(tmpdir(), "aizy-frontend-"));
const client = prepareFrontend(frontend);
let files: string[];
beforeAll(async () => {
  files = await buildClient(client);
});
afterAll(() => rmSync(frontend, { recursive: true, force: true }));

describe("the client's package", () => {
  test("a frontend compiles against it, with Node's resolution and with a bundler's", async () => {
    const said = await Promise.all([
      compileFrontend(frontend, { module: "NodeNext", moduleResolution: "NodeNext" }),
      compileFrontend(frontend, { module: "ESNext", moduleResolution: "bundler" }),
    ]);
    expect(said).toEqual(["", ""]);
  });

  test("holds nothing of the server, needs nothing, and is small", () => {
    const { dependencies, exports } = JSON.parse(readFileSync(join(client, "package.json"), "utf8"));
    expect(dependencies).toBeUndefined();
    const entries = [...JSON.stringify(exports).matchAll(/":"(\.\/[^"]+)"/g)].map(([, path]) => path ?? "");
    expect(entries.length).toBe(29);
    expect(entries.filter((path) => !files.includes(path.slice(2)))).toEqual([]);
    for (const file of files.filter((name) => /\.(js|d\.ts)$/.test(name))) {
      const imported = [...readFileSync(join(client, file), "utf8").matchAll(/from ?"([^"]+)"/g)].map(
        ([, name]) => name,
      );
      const own = imported.filter((name) => !/^\.\/\w+\.js$/.test(name ?? ""));
      const other = { "hono.d.ts": ["hono"], "react.js": ["react"] }[file] ?? [];
      expect([file, own]).toEqual([file, other]);
    }
    const compressed = (file: string) => gzipSync(readFileSync(join(client, file)), { level: 9 }).length;
    expect(compressed("index.js")).toBeLessThan(6000);
    expect(compressed("analytics.js")).toBeLessThan(2000);
    expect(compressed("react.js")).toBeLessThan(1500);
  });
});
