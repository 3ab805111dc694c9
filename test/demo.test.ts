import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { useTestApp } from "./app";
import { type ServerProcess, startProgram, startServer } from "./processes";

useTestApp();
const administrator = {
  SEED_ADMIN_EMAIL: "root@example.com",
  SEED_ADMIN_PASSWORD: "a password of this test",
};
let server: ServerProcess;

beforeAll(async () => {
  const seed = startProgram(["prisma/seed.ts"], administrator);
  expect(await seed.ended()).toBe(0);
  server = await startServer();
}, 60_000);
afterAll(async () => {
  await server?.kill();
});

describe("bun run demo", () => {
  test("walks the whole path against a running server through the typed client", async () => {
    const demo = startProgram(["src/demo.ts"], { ...administrator, DEMO_URL: server.address });
    const code = await demo.ended();
    expect(demo.output()).toContain("Everything is as it should be.");
    expect(code).toBe(0);
    const steps = [...demo.output().matchAll(/^ {2}ok {2}(\S.*?) {2,}/gm)].map(([, step]) => step);
    expect(steps).toEqual([
      "register",
      "code by mail",
      "verify",
      "sign in",
      "create a product",
      "list",
      "search",
      "sign out",
    ]);
  }, 60_000);

  test("fails when an answer is not what it should be", async () => {
    const demo = startProgram(["src/demo.ts"], {
      ...administrator,
      SEED_ADMIN_PASSWORD: "not the password",
      DEMO_URL: server.address,
    });
    expect(await demo.ended()).toBe(1);
    expect(demo.output()).toContain("FAILED");
  }, 60_000);

  test("says how to start the server when none answers", async () => {
    const demo = startProgram(["src/demo.ts"], { ...administrator, DEMO_URL: "http://localhost:1" });
    expect(await demo.ended()).toBe(1);
    expect(demo.output()).toContain("Start it with bin/dev");
  }, 60_000);
});

describe("the seed", () => {
  test("run again, it makes no second administrator", async () => {
    const again = startProgram(["prisma/seed.ts"], { ...administrator, SEED_ADMIN_PASSWORD: "another" });
    expect(await again.ended()).toBe(0);
    expect(again.output()).toContain("root@example.com present");
  }, 60_000);
});
