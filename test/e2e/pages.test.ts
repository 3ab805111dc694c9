import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { OpenApiDocument } from "../../src/http/openapi";
import { useTestApp } from "../app";
import { chromiumPath, openBrowser } from "../browser";
import { type ServerProcess, startServer } from "../processes";

useTestApp();
/** A hang guard, far above what anything here takes. */
const PATIENCE = 120_000;

describe.skipIf(!chromiumPath())("pages in a real browser (needs Chromium: apt-get install chromium)", () => {
  let server: ServerProcess;
  let browser: Awaited<ReturnType<typeof openBrowser>>;
  beforeAll(async () => {
    server = await startServer();
    browser = await openBrowser();
  }, PATIENCE);
  afterAll(async () => {
    await browser?.close();
    await server?.kill();
  });

  /** Opens a page and collects what went wrong in it. */
  async function open(path: string) {
    const page = await browser.context.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") faults.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(server.address) && !request.url().startsWith("data:")) {
        faults.push(`a request to ${request.url()}`);
      }
    });
    await page.goto(`${server.address}${path}`);
    return { page, faults };
  }

  test(
    "/docs shows the routes, without a fault and without asking anybody else",
    async () => {
      const { page, faults } = await open("/docs");
      await page.locator(".opblock").first().waitFor();
      const contract = (await (await fetch(`${server.address}/openapi.json`)).json()) as OpenApiDocument;
      const stated = Object.values(contract.paths).flatMap((path) =>
        Object.values(path as object).map(({ operationId }) => operationId as string),
      );
      // Swagger UI keeps only what is in sight in the page, so the whole list is seen by scrolling through it.
      const seen = new Set<string>();
      for (let top = 0, bottom = false; !bottom; top += 400) {
        bottom = await page.evaluate((y) => {
          scrollTo(0, y);
          return y > document.documentElement.scrollHeight;
        }, top);
        await page.evaluate(
          () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
        );
        for (const id of await page
          .locator(".opblock")
          .evaluateAll((blocks) => blocks.map((block) => block.id))) {
          seen.add(id.slice(id.lastIndexOf("-") + 1));
        }
      }
      expect([...seen].sort()).toEqual(stated.sort());
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "/dev/mail shows a mail as text: what a name holds is not run",
    async () => {
      const answer = await fetch(`${server.address}/auth/register`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          email: "page@example.com",
          password: "correct horse battery",
          name: "<img src=x onerror=alert(1)> Ann",
        }),
      });
      expect(answer.status).toBe(202);
      const { page, faults } = await open("/dev/mail");
      for (const deadline = Date.now() + PATIENCE; !(await page.content()).includes("page@example.com"); ) {
        if (Date.now() > deadline) throw new Error("no mail came");
        await page.reload();
      }
      expect(await page.locator("img[src=x]").count()).toBe(0);
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );
});
