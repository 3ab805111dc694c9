import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { CACHE } from "./paths";
import { hasStorefront, installStorefront } from "./storefront";

/** Where a program is that was taken out of a package. */
export const unpackedPath = (program: string): string => join(CACHE, "programs", program);

/**
 * One program out of a Debian package, which is not installed: promtool's package would start a Prometheus, and brings
 * what that needs. Kept beside the databases of this machine, wherever there is an apt-get; root is not needed.
 * @param file where it is inside the package
 * @returns where it is, or a line that begins with "none" and says why
 */
export async function unpackProgram(
  packageName: string,
  file: string,
  given: string | undefined,
): Promise<string> {
  const program = basename(file);
  const path = unpackedPath(program);
  const present = given || Bun.which(program) || (existsSync(path) && path);
  if (present) return present;
  if (!Bun.which("apt-get"))
    return `none: its tests are skipped (${program} is in Debian's package ${packageName})`;
  await mkdir(join(CACHE, "programs"), { recursive: true });
  const folder = await mkdtemp(join(CACHE, "programs", ".unpacking-"));
  try {
    const download = () => Bun.$`apt-get download -q ${packageName}`.cwd(folder).quiet();
    await download().catch(async () => {
      // A new machine has no lists of packages yet.
      await Bun.$`apt-get update -q`.quiet();
      await download();
    });
    const [archive = ""] = await readdir(folder);
    await Bun.$`dpkg-deb --fsys-tarfile ${archive} | tar --extract ./${file}`.cwd(folder).quiet();
    await rename(join(folder, file), path);
    return "unpacked from Debian's packages";
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer };
    return `none: its tests are skipped (${(stderr?.toString() || String(error)).trim().slice(-300)})`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Programs of Debian's packages that only some tests need. Continuous integration installs them; on a
 * developer's machine nothing is installed, and those tests say that they were skipped.
 * @param programs names of the program, the first one found is taken
 * @returns where it is, or a line that begins with "none" and says why
 */
export async function provideProgram(
  programs: string[],
  packageName: string,
  given: string | undefined,
): Promise<string> {
  const present = given || programs.map((name) => Bun.which(name)).find((path) => path !== null);
  if (present) return present;
  const install = process.env.CI === "true" && process.getuid?.() === 0 && Bun.which("apt-get");
  if (!install) return `none: its tests are skipped (apt-get install ${packageName})`;
  for (const words of [
    ["update", "-q"],
    ["install", "-q", "-y", "--no-install-recommends", packageName],
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

/**
 * The packages of the sample frontend, which only its test needs: installed in continuous integration, as programs are.
 * @returns a line that says where they are; one that begins with "none" says why they are not
 */
export async function provideStorefront(): Promise<string> {
  if (hasStorefront()) return "its packages are there";
  if (process.env.CI !== "true")
    return "none: its test is skipped (bun run build:client, then bun install in examples/storefront)";
  return installStorefront().then(
    () => "installed from its lockfile",
    (error: Error) => `none: ${error.message}`,
  );
}
