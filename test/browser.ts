import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";

/** Chromium as Debian installs it, or as CHROMIUM names it; undefined where there is none. */
export const chromiumPath = (): string | undefined =>
  process.env.CHROMIUM || (Bun.which("chromium") ?? Bun.which("google-chrome") ?? undefined);

/**
 * A browser with an empty profile that makes no connection of its own. `close` removes the profile.
 * @param options of the browser's context, such as another user agent
 */
export async function openBrowser(
  options: { userAgent?: string } = {},
): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  const profile = await mkdtemp(join(tmpdir(), "aizy-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath() ?? "",
    ...options,
    headless: true,
    // As root Chromium starts only without its sandbox; it sees nothing but our own pages.
    chromiumSandbox: false,
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
