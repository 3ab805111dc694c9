/**
 * Chromium for the tests of pages. Continuous integration installs it from Debian's packages; on a developer's
 * machine nothing is installed, and those tests say that they were skipped.
 */
export async function provideBrowser(): Promise<string> {
  const present = Bun.which("chromium") ?? Bun.which("google-chrome");
  if (process.env.CHROMIUM || present) return process.env.CHROMIUM ?? present ?? "";
  const install = process.env.CI === "true" && process.getuid?.() === 0 && Bun.which("apt-get");
  if (!install) return "none: tests of pages are skipped (apt-get install chromium)";
  for (const words of [
    ["update", "-q"],
    ["install", "-q", "-y", "--no-install-recommends", "chromium"],
  ]) {
    const child = Bun.spawn(["apt-get", ...words], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const errors = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) return `none: apt-get ${words[0]} failed: ${errors.trim().slice(-300)}`;
  }
  return "installed from Debian's packages";
}
