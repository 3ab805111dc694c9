/**
 * The Debian root that MySQL and DocumentDB run in: made once per machine, shared by every checkout, read by
 * all and written by none. As a program it makes the root and prints its progress as JSON lines; it runs
 * under a lock (`prepareRoot`), so two checkouts that start at once make one root.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CACHE } from "./paths";
import { lines } from "./processes";

/** Both engines in one root. MySQL is only in sid. */
const RECIPE = {
  suite: "sid",
  packages: ["mysql-server-core", "postgresql-18-documentdb"],
  /** Raised when what is done after debootstrap changes. */
  revision: 1,
};

/** Lines that debootstrap prints for this recipe, for the progress line only. */
const EXPECTED_LINES = 1090;

const rootFolder = () =>
  join(CACHE, `root-${createHash("sha256").update(JSON.stringify(RECIPE)).digest("hex").slice(0, 12)}`);

/** Where something is in the making, from 0 to 1. */
export type ReportProgress = (share: number, what: string) => void;

/**
 * The folder of the root, made when it is not there yet.
 * @throws Error with what to do when it cannot be made
 */
export async function prepareRoot(report: ReportProgress): Promise<string> {
  const root = rootFolder();
  if (existsSync(root)) return root;
  await mkdir(CACHE, { recursive: true });
  const maker = Bun.spawn(["flock", join(CACHE, "root.lock"), process.execPath, import.meta.path], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const errors = new Response(maker.stderr).text();
  for await (const line of lines(maker.stdout)) {
    const { share, what } = JSON.parse(line) as { share: number; what: string };
    report(share, what);
  }
  if ((await maker.exited) !== 0 || !existsSync(root)) throw new Error((await errors).trim());
  return root;
}

/** The mirror that this machine takes its Debian packages from: one-line and deb822 sources. */
export function mirrorOf(sources: string[]): string | undefined {
  for (const text of sources) {
    for (const stanza of text.split(/\n\s*\n/)) {
      const field = (name: string) => new RegExp(`^${name}:\\s*(.+)$`, "mi").exec(stanza)?.[1]?.trim();
      const uri = field("URIs")?.split(/\s+/)[0];
      const isDebian = /\bmain\b/.test(field("Components") ?? "") && !/security/.test(field("Suites") ?? "");
      if (uri && isDebian && /\bdeb\b/.test(field("Types") ?? "deb") && /debian/.test(uri)) return uri;
    }
    for (const line of text.split("\n")) {
      const [, uri, suite] = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s.*\bmain\b/.exec(line.trim()) ?? [];
      if (uri && suite && !/security/.test(suite) && /debian/.test(uri)) return uri;
    }
  }
  return undefined;
}

async function aptSources(): Promise<string[]> {
  const folder = "/etc/apt/sources.list.d";
  const names = await readdir(folder).catch(() => []);
  const paths = ["/etc/apt/sources.list", ...names.sort().map((name) => join(folder, name))];
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")));
  return texts.map((text) => text.replace(/^\s*#.*\n?/gm, ""));
}

/** Runs a command; its output matters only when it fails. */
async function run(command: string[], onLine: (line: string) => void = () => {}): Promise<void> {
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
  });
  const last: string[] = [];
  const keep = (line: string) => {
    last.push(line);
    if (last.length > 15) last.shift();
  };
  const errors = (async () => {
    for await (const line of lines(child.stderr)) keep(line);
  })();
  for await (const line of lines(child.stdout)) {
    keep(line);
    onLine(line);
  }
  await errors;
  if ((await child.exited) !== 0) {
    throw new Error(
      `${command[0]} failed with ${child.exitCode}:\n${last.map((line) => `  ${line}`).join("\n")}`,
    );
  }
}

/** debootstrap, installed from Debian's packages when it is not there. */
async function debootstrap(report: ReportProgress): Promise<string> {
  const found = Bun.which("debootstrap");
  if (found) return found;
  report(0, "installing debootstrap");
  await run(["apt-get", "update", "-q"]);
  await run(["apt-get", "install", "-q", "-y", "--no-install-recommends", "debootstrap"]);
  return Bun.which("debootstrap") ?? "/usr/sbin/debootstrap";
}

/** Makes the root beside its place and moves it there when it is whole. */
async function makeRoot(report: ReportProgress): Promise<void> {
  const root = rootFolder();
  if (existsSync(root)) return;
  for (const name of await readdir(CACHE)) {
    if (name.endsWith(".partial")) await rm(join(CACHE, name), { recursive: true, force: true });
  }
  const mirror = mirrorOf(await aptSources());
  if (!mirror) throw new Error("No Debian mirror was found in /etc/apt/sources.list or sources.list.d.");
  const tool = await debootstrap(report);
  const partial = `${root}.partial`;
  // Bookworm's debootstrap has the script of sid; a distribution derived from Debian may not.
  const script = join(CACHE, "debootstrap-script");
  await rm(script, { force: true });
  await symlink("/usr/share/debootstrap/scripts/sid", script);
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  let seen = 0;
  await run(
    [
      tool,
      "--variant=minbase",
      `--include=${RECIPE.packages.join(",")}`,
      ...(existsSync(keyring) ? [`--keyring=${keyring}`] : []),
      RECIPE.suite,
      partial,
      mirror,
      script,
    ],
    (line) => {
      seen++;
      const what = /^I: (Retrieving|Validating|Extracting|Unpacking|Configuring) (\S+)/.exec(line);
      if (what) report(Math.min(0.99, seen / EXPECTED_LINES), `${what[1]?.toLowerCase()} ${what[2]}`);
    },
  );
  for (const folder of ["var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"]) {
    await rm(join(partial, folder), { recursive: true, force: true });
  }
  await writeFile(join(partial, "etc/aizy-recipe.json"), `${JSON.stringify({ ...RECIPE, mirror })}\n`);
  await rename(partial, root);
}

if (import.meta.main) {
  await makeRoot((share, what) => console.log(JSON.stringify({ share, what }))).catch((error: Error) => {
    console.error(error.message);
    process.exit(1);
  });
}
