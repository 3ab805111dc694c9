/**
 * examples/storefront on the built client, as its visitors have it: pages of another origin than the API, in a real
 * browser. With SCREENSHOTS=FOLDER every page is kept as a picture.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import sharp from "sharp";
import { createClient } from "../../client/src/client";
import { buildClient } from "../../local/build-client";
import { hasStorefront, STOREFRONT } from "../../local/storefront";
import { BROWSER, eventsOf } from "../analytics";
import { useTestApp } from "../app";
import { chromiumPath, openBrowser } from "../browser";
import { eventually } from "../processes";

/** A hang guard, far above what anything here takes. */
const PATIENCE = 120_000;

/** Runs a tool of the example. @throws Error with what it said */
async function tool(name: string, ...words: string[]): Promise<void> {
  const child = Bun.spawn([join(STOREFRONT, "node_modules/.bin", name), ...words], {
    ...{ cwd: STOREFRONT, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`${name} failed:\n${said.join("")}`);
}

describe.skipIf(!chromiumPath() || !hasStorefront())(
  "examples/storefront (needs Chromium, and bun install in the example)",
  () => {
    let pages: Bun.Server<undefined>;
    let api: Bun.Server<undefined>;
    let browser: Awaited<ReturnType<typeof openBrowser>>;
    let shop: { api: string; key: string | undefined; port: number };
    const t = useTestApp(() => {
      // The configuration names the frontend's address, and the frontend the API's.
      api = Bun.serve({
        port: 0,
        idleTimeout: 0,
        fetch: (request, server) => t.app.fetch(request, { server }),
      });
      pages = Bun.serve({ port: 0, fetch: () => new Response(null, { status: 503 }) });
      shop = { api: `http://localhost:${api.port}`, key: undefined, port: pages.port ?? 0 };
      const origin = `http://localhost:${pages.port}`;
      return { corsOrigins: [origin], appUrl: origin };
    });

    /** Goods on sale, and the key of the shop's own server. */
    async function stockUp(): Promise<string> {
      const manager = await t.signIn({ roles: ["admin"] });
      const { refreshToken, password } = manager;
      const storage = { read: () => JSON.stringify({ refreshToken }), write: () => undefined };
      const { api: own, auth } = createClient(shop.api, { storage });
      const { data: lamps } = await own.products.categories.$post({ json: { name: "Lamps" } });
      const { data: place } = await own.products.inventory.locations.$post({
        json: { code: "MAIN", name: "Main" },
      });
      const png = await sharp({ create: { width: 700, height: 525, channels: 3, background: "#d9a441" } })
        .png()
        .toBuffer();
      for (const [name, brand, price] of [
        ["Desk lamp", "Lux", 4900],
        ["Floor lamp", "Nox", 12_900],
      ] as const) {
        const sku = name.toUpperCase().replace(" ", "-");
        const { data } = await own.products.$post({
          json: { name, brand, categoryIds: [lamps.id], variants: [{ sku, price, currency: "EUR" }] },
        });
        const file = new File([new Uint8Array(png)], "lamp.png", { type: "image/png" });
        await own.products[":id"].images.$post({ param: { id: data.id }, form: { file, alt: `A ${name}` } });
        await own.products.inventory.adjust.$post({
          json: { sku, locationId: place.id, delta: 1, reason: "delivery" },
        });
      }
      await t.keeper.round();
      const { data: key } = await auth["api-keys"].$post({
        json: { name: "shop", permissions: ["reservations:write"], password },
      });
      return key.key;
    }

    beforeAll(async () => {
      await buildClient(join(STOREFRONT, "node_modules/aizy-backend"));
      await tool("tsc");
      await tool("vite", "build");
      shop.key = await stockUp();
      const { serveShop } = await import(join(STOREFRONT, "server.ts"));
      await pages.stop(true);
      pages = serveShop(shop);
      browser = await openBrowser({ userAgent: BROWSER });
    }, PATIENCE);
    afterAll(async () => {
      await browser?.close();
      await api?.stop(true);
      await pages?.stop(true);
    });

    /** Holds that nothing is wrong with a page for those who cannot see it. */
    async function look(page: Page, name: string): Promise<void> {
      if (process.env.SCREENSHOTS)
        await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
      await page.evaluate(readFileSync(join(STOREFRONT, "node_modules/axe-core/axe.min.js"), "utf8"));
      const faults = await page.evaluate(async () => {
        // biome-ignore lint/suspicious/noExplicitAny: put there by the line before.
        const { violations } = await (globalThis as any).axe.run();
        return violations
          .filter(({ impact }: { impact: string }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }: { id: string; nodes: { html: string }[] }) => `${id}: ${nodes[0]?.html}`);
      });
      expect([name, faults]).toEqual([name, []]);
    }

    test(
      "from the list to an order, a registration, a profile, two tabs and a sign-out",
      async () => {
        browser.context.setDefaultTimeout(PATIENCE / 2);
        const page = await browser.context.newPage();
        const thrown: string[] = [];
        page.on("pageerror", (error) => thrown.push(error.message));
        await page.goto(`http://localhost:${pages.port}/`, { timeout: PATIENCE });
        await page.getByRole("button", { name: "Yes" }).click();
        await page.getByRole("link", { name: "Desk lamp" }).waitFor();
        await look(page, "list");
        await page.getByLabel("Category").selectOption("lamps");
        await page.getByLabel("Order").selectOption("price");
        await page.waitForURL("**/?category=lamps&sort=price");
        await page.locator(".products a").nth(1).waitFor();
        expect(await page.locator(".products a").allTextContents()).toEqual(["Desk lamp", "Floor lamp"]);

        await page.getByLabel("Search").fill("lam");
        await page.locator("datalist option").first().waitFor({ state: "attached" });
        await page.getByLabel("Search").press("Enter");
        await page.getByRole("link", { name: "Nox (1)" }).click();
        await page.waitForURL("**brand=Nox");
        await page.getByRole("link", { name: "All brands" }).waitFor();
        await look(page, "search");
        await page.getByRole("link", { name: "Floor lamp" }).click();
        await page.getByRole("heading", { name: "Floor lamp" }).waitFor();
        await look(page, "product");
        const add = page.getByRole("button", { name: "Into the basket" });
        await add.click();
        await add.click();
        await page.getByRole("link", { name: "Basket (2)" }).click();
        await page.getByRole("button", { name: "Order" }).click();
        await page.getByText("Only 1 left of FLOOR-LAMP.").waitFor();
        await page.getByRole("button", { name: "Remove Floor lamp" }).click();
        await page.goBack();
        await add.click();
        await page.getByRole("link", { name: "Basket (1)" }).click();
        await page.getByRole("button", { name: "Order" }).click();
        await page.getByText("It is yours for 15 minutes.").waitFor();
        await look(page, "basket");

        await page.getByRole("link", { name: "Sign in" }).click();
        await page.getByRole("link", { name: "Register" }).click();
        const fill = async (fields: Record<string, string>) => {
          for (const [label, value] of Object.entries(fields))
            await page.getByLabel(label, { exact: true }).fill(value);
        };
        const who = { "Mail address": "ann@example.com", Password: "correct horse battery" };
        await fill({ Name: "Ann", ...who, Password: "short" });
        await page.getByRole("button", { name: "Send me a code" }).click();
        await page.getByText("password must be at least 8 characters").waitFor();
        await look(page, "register");
        await fill(who);
        await page.getByRole("button", { name: "Send me a code" }).click();
        await page.getByLabel("Code").waitFor();
        while ((await t.runner.runDue()) > 0);
        const [code = ""] = /\b\d{6}\b/.exec(t.mails.at(-1)?.text ?? "") ?? [];
        await fill({ Code: code });
        await page.getByRole("button", { name: "Confirm" }).click();
        await page.getByRole("heading", { name: "Sign in" }).waitFor();
        await look(page, "sign-in");
        await fill(who);
        await page.getByRole("button", { name: "Sign in" }).click();
        await page.getByText("here", { exact: true }).waitFor();

        await fill({ Name: "Ann of the lamps" });
        await Promise.all([
          page.waitForResponse((answer) => answer.request().method() === "PATCH" && answer.ok()),
          page.getByRole("button", { name: "Save" }).click(),
        ]);
        const png = await sharp({ create: { width: 200, height: 200, channels: 3, background: "teal" } })
          .png()
          .toBuffer();
        await page
          .getByLabel("Picture")
          .setInputFiles({ name: "me.png", mimeType: "image/png", buffer: png });
        await page.getByRole("img", { name: "You" }).waitFor();
        await look(page, "account");

        const second = await browser.context.newPage();
        await second.goto(`http://localhost:${pages.port}/account`);
        await second.getByText("here", { exact: true }).waitFor();
        expect(await second.getByLabel("Name", { exact: true }).inputValue()).toBe("Ann of the lamps");
        await page.getByRole("button", { name: "Sign out" }).click();
        await second.getByText("You are signed out.").waitFor();
        expect(
          await second.evaluate(
            "[...Object.keys(localStorage)].filter((name) => !/^(consent|aizy\\.analytics)/.test(name))",
          ),
        ).toEqual([]);
        await eventually(
          async () => (await eventsOf(t).countDocuments({ name: "Product Viewed" })) > 0,
          "the view of a product",
        );
        expect(thrown).toEqual([]);
      },
      PATIENCE * 3,
    );
  },
);
