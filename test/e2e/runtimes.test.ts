/** The client where it may run: Bun, Node, Chromium, Firefox, and workers of both. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle, LATER } from "../../local/build-client";
import { type SignedInPerson, useTestApp } from "../app";
import { chromiumPath, openBrowser } from "../browser";
import { firefoxPath, openFirefox } from "../firefox";

/** Node as it is installed, and further ones that NODES names, between colons. */
const NODES = [Bun.which("node") ?? [], (process.env.NODES ?? "").split(":").filter(Boolean)].flat();

const folder = mkdtempSync(join(tmpdir(), "aizy-runtimes-"));
let pages: Bun.Server<undefined>;
let api: Bun.Server<undefined>;
const t = useTestApp(() => {
  pages = Bun.serve({
    port: 0,
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      if (!pathname.endsWith(".js")) return new Response("<!doctype html><title>Shop</title>", HTML);
      return new Response(readFileSync(join(folder, pathname.slice(1)), "utf8"), SCRIPT);
    },
  });
  return { corsOrigins: [pages.url.origin], appUrl: pages.url.origin };
});
const HTML = { headers: { "content-type": "text/html" } };
const SCRIPT = { headers: { "content-type": "text/javascript" } };

const WORKER = `import { tryClient } from "./runtime.js";
onmessage = ({ data }) => tryClient(...data).then(postMessage, (error) => postMessage(String(error)));`;

let person: SignedInPerson;
beforeAll(async () => {
  api = Bun.serve({ port: 0, idleTimeout: 0, fetch: (request, server) => t.app.fetch(request, { server }) });
  for (const name of ["index", ...LATER]) await bundle(folder, name, "esm");
  copyFileSync(join(import.meta.dir, "../programs/runtime.js"), join(folder, "runtime.js"));
  writeFileSync(join(folder, "worker.js"), WORKER);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  person = await t.signIn({ roles: ["admin"] });
  for (const name of ["Bed", "Chair", "Lamp"])
    await t.request("/api/products", {
      method: "POST",
      json: { name, price: 100 },
      token: person.accessToken,
    });
});
afterAll(async () => {
  await pages?.stop(true);
  await api?.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

const wordsFor = (name: string) => [`http://localhost:${api.port}`, person.email, person.password, name];
const seen = (name: string) => ({
  told: [person.email, "signed_out"],
  listed: ["Bed", "Chair", "Lamp"],
  ...{ name, late: "precondition_failed", events: 1 },
});

/** Runs the program with a runtime of servers. @returns what it saw */
async function runIn(program: string, name: string): Promise<unknown> {
  const child = Bun.spawn([program, join(folder, "runtime.js"), ...wordsFor(name)], {
    ...{ cwd: folder, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const [out, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${program} failed:\n${errors}`);
  return JSON.parse(out);
}

/** Expressions for a page: the program in it, and in a worker of it. */
const inPage = (name: string) =>
  `import("/runtime.js").then(({ tryClient }) => tryClient(...${JSON.stringify(wordsFor(name))}))`;
const inWorker = (name: string) => `new Promise((resolve) => {
  const worker = new Worker("/worker.js", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.postMessage(${JSON.stringify(wordsFor(name))});
})`;

test("Bun", async () => {
  expect(await runIn(process.execPath, "Bun")).toEqual(seen("Bun"));
});

describe.skipIf(NODES.length === 0)("Node (needs one on PATH, or NODES=PATH:PATH)", () => {
  test.each(NODES)("%s", async (node) => {
    expect(await runIn(node, node)).toEqual(seen(node));
  });
});

test.skipIf(!chromiumPath())("Chromium, page and worker (needs it: apt-get install chromium)", async () => {
  const browser = await openBrowser();
  try {
    const page = await browser.context.newPage();
    await page.goto(pages.url.href);
    expect(await page.evaluate(inPage("Chromium"))).toEqual(seen("Chromium"));
    expect(await page.evaluate(inWorker("its worker"))).toEqual(seen("its worker"));
  } finally {
    await browser.close();
  }
});

test.skipIf(!firefoxPath())("Firefox, page and worker (needs it: apt-get install firefox-esr)", async () => {
  const firefox = await openFirefox(pages.url.href);
  try {
    expect(await firefox.evaluate(inPage("Firefox"))).toEqual(seen("Firefox"));
    expect(await firefox.evaluate(inWorker("its worker"))).toEqual(seen("its worker"));
  } finally {
    await firefox.close();
  }
});
