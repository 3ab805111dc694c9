/**
 * bun local/notices.ts FOLDER — what an installation consists of: FOLDER/THIRD-PARTY-NOTICES with the licence of each
 * installed package, and FOLDER/sbom.cdx.json, a bill of materials in CycloneDX 1.6. The image is built with it. Ends
 * with 1 and names each package whose licence nobody has looked at.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Licences that ask for no more than their text to go along. */
const PERMISSIVE = new Set([
  ...[
    "MIT",
    "MIT-0",
    "ISC",
    "0BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Apache-2.0",
    "BlueOak-1.0.0",
    "Unlicense",
  ],
]);

/** Licences that ask for more, package by package, and how that is met. */
const LOOKED_AT: { name: RegExp; licence: string; met: string }[] = [
  {
    name: /^mariadb$/,
    licence: "LGPL-2.1-or-later",
    met: "loaded as a library; our changes to it are in patches/, and another build of it can take its place",
  },
  {
    name: /^@img\/sharp-libvips-/,
    licence: "LGPL-3.0-or-later",
    met: "a shared library beside sharp, unchanged; another build of it can take its place",
  },
];

interface Package {
  name: string;
  version: string;
  licence: string;
  texts: string[];
}

const TEXT = /^(licence|license|copying|notice)(\b|[-_.])/i;

/** Reads one installed package. */
async function readPackage(folder: string): Promise<Package | undefined> {
  const file = join(folder, "package.json");
  if (!existsSync(file)) return undefined;
  const { name, version, license, licenses } = JSON.parse(await readFile(file, "utf8"));
  const said = license ?? licenses?.[0] ?? "none";
  const names = (await readdir(folder)).filter((entry) => TEXT.test(entry)).sort();
  return {
    name,
    version,
    licence: typeof said === "string" ? said : String(said.type),
    texts: await Promise.all(names.map((entry) => readFile(join(folder, entry), "utf8").catch(() => ""))),
  };
}

/** Every package of a node_modules folder, and of those inside, by name and version. */
async function readPackages(modules: string): Promise<Package[]> {
  const found = new Map<string, Package>();
  const visit = async (folder: string): Promise<void> => {
    if (!existsSync(folder)) return;
    for (const entry of (await readdir(folder)).sort()) {
      if (entry.startsWith(".")) continue;
      const inside = join(folder, entry);
      if (entry.startsWith("@")) {
        await visit(inside);
        continue;
      }
      const one = await readPackage(inside);
      if (one) found.set(`${one.name}@${one.version}`, one);
      await visit(join(inside, "node_modules"));
    }
  };
  await visit(modules);
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

const metBy = ({ name, licence }: Package) =>
  LOOKED_AT.find((known) => known.name.test(name) && known.licence === licence)?.met;

/** Whether a licence, or each or one of several joined by AND or OR, is permissive. */
function isPermissive(licence: string): boolean {
  const expression = licence.replace(/^\((.*)\)$/, "$1");
  if (expression.includes(" AND ")) return expression.split(" AND ").every(isPermissive);
  return expression.split(" OR ").some((one) => PERMISSIVE.has(one.trim()));
}

function noticesOf(packages: Package[], own: string[]): string {
  const parts = packages.map((one) => {
    const met = metBy(one);
    return [`${one.name} ${one.version}: ${one.licence}`, ...(met ? [`(${met})`] : []), ...one.texts].join(
      "\n\n",
    );
  });
  return `${[...parts, ...own].map((part) => part.trim()).join(`\n\n${"-".repeat(72)}\n\n`)}\n`;
}

/** The bill of materials; checksums are those of bun.lock. */
function materialsOf(packages: Package[], lock: string, subject: { name: string; version: string }): string {
  const sums = new Map(
    [...lock.matchAll(/\["([^"]+)",.*"sha512-([A-Za-z0-9+/=]+)"\]/g)].map(([, id, sum]) => [id, sum]),
  );
  const components = packages.map(({ name, version, licence }) => {
    const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
    const sum = sums.get(`${name}@${version}`);
    const hashes = sum ? [{ alg: "SHA-512", content: Buffer.from(sum, "base64").toString("hex") }] : [];
    const licenses = [/ (AND|OR) /.test(licence) ? { expression: licence } : { license: { id: licence } }];
    return { type: "library", "bom-ref": purl, name, version, purl, licenses, hashes };
  });
  const component = { type: "application", name: subject.name, version: subject.version };
  return `${JSON.stringify({ bomFormat: "CycloneDX", specVersion: "1.6", version: 1, metadata: { component }, components }, null, 2)}\n`;
}

async function main(folder: string | undefined): Promise<number> {
  if (folder === undefined) {
    console.error("Usage: bun local/notices.ts FOLDER");
    return 2;
  }
  const packages = await readPackages("node_modules");
  const unknown = packages.filter((one) => !isPermissive(one.licence) && metBy(one) === undefined);
  if (unknown.length > 0) {
    console.error("Nobody has looked at these licences; see LOOKED_AT in local/notices.ts:");
    for (const { name, version, licence } of unknown) console.error(`  ${name} ${version}: ${licence}`);
    return 1;
  }
  const words = "src/auth/common-passwords.licence.txt";
  const own = existsSync(words) ? [`The list of common passwords\n\n${await readFile(words, "utf8")}`] : [];
  const subject = JSON.parse(await readFile("package.json", "utf8"));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "THIRD-PARTY-NOTICES"), noticesOf(packages, own));
  await writeFile(
    join(folder, "sbom.cdx.json"),
    materialsOf(packages, await readFile("bun.lock", "utf8"), subject),
  );
  console.log(`${packages.length} packages in ${folder}.`);
  return 0;
}

process.exit(await main(process.argv[2]));
