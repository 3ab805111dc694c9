import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SourcesReport } from "../../src/analytics/reports/schema";
import { BROWSER, eventsOf } from "../analytics";
import { useTestApp } from "../app";
import { chromiumPath, openBrowser } from "../browser";
import { eventually, type ServerProcess, startServer } from "../processes";

const t = useTestApp();
/** A hang guard, far above what anything here takes. */
const PATIENCE = 120_000;

/** The first piece of JavaScript of a guide, as a reader copies it. */
const snippetOf = async (guide: string): Promise<string> => {
  const snippet = /^```js\n(.*?)^```$/ms.exec(await Bun.file(guide).text())?.[1];
  if (snippet === undefined) throw new Error(`${guide} shows no JavaScript`);
  return snippet;
};

describe.skipIf(!chromiumPath())(
  "guides in a real browser (needs Chromium: apt-get install chromium)",
  () => {
    let server: ServerProcess;
    let browser: Awaited<ReturnType<typeof openBrowser>>;
    beforeAll(async () => {
      server = await startServer();
      // Without a screen Chromium says so in its name, and counts as a bot.
      browser = await openBrowser({ userAgent: BROWSER });
    }, PATIENCE);
    afterAll(async () => {
      await browser?.close();
      await server?.kill();
    });

    test(
      "docs/analytics.md: what a page sends on a direct visit is counted, with the source direct",
      async () => {
        const snippet = await snippetOf("docs/analytics.md");
        const page = await browser.context.newPage();
        // A page of the shop, behind the same address as the API.
        await page.route("**/lamps", (route) =>
          route.fulfill({ contentType: "text/html", body: "<h1>Lamps</h1>" }),
        );
        await page.goto(`${server.address}/lamps`, { timeout: PATIENCE });
        expect(await page.evaluate("document.referrer")).toBe("");
        expect(await page.evaluate(`${snippet.trim().replace(/;$/, "")}.then(({ status }) => status)`)).toBe(
          202,
        );
        await eventually(
          async () => (await eventsOf(t).countDocuments({})) === 1,
          "the arrival of the event",
        );
        expect(await eventsOf(t).findOne({})).toMatchObject({
          name: "Product Viewed",
          source: "direct",
          timeFlags: [],
        });

        const { accessToken } = await t.signIn({ roles: ["manager"] });
        const sources = async () => {
          const answer = await fetch(`${server.address}/api/analytics/reports/sources`, {
            headers: { authorization: `Bearer ${accessToken}` },
          });
          return ((await answer.json()) as { data: SourcesReport }).data.sources;
        };
        await eventually(async () => (await sources()).length > 0, "the count of the event");
        expect(await sources()).toMatchObject([{ source: "direct", sessions: 1 }]);
      },
      PATIENCE,
    );
  },
);
