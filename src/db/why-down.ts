/** Why a database cannot be reached, in words that hold neither names nor secrets, so that anybody may read them. */

const VARIABLES = { MySQL: "DATABASE_URL", MongoDB: "MONGODB_URI" } as const;

/** What is looked at of an error of either driver, and of what one holds. */
interface Parts {
  code?: unknown;
  errno?: unknown;
  cause?: unknown;
  /** MongoDB's driver: what it knows of the servers when none could be chosen. */
  reason?: { type?: string; setName?: string; servers?: ReadonlyMap<string, { error?: unknown }> };
}

/** An error with all that caused it, the outermost first. */
function chainOf(error: unknown, seen: Set<unknown> = new Set()): Parts[] {
  if (typeof error !== "object" || error === null || seen.has(error)) return [];
  seen.add(error);
  const parts = error as Parts;
  const servers = [...(parts.reason?.servers?.values() ?? [])];
  return [
    parts,
    ...[parts.cause, ...servers.map((server) => server.error)].flatMap((inner) => chainOf(inner, seen)),
  ];
}

/**
 * Why a database cannot be reached, as a sentence without its full stop.
 * @param error what its driver said, or what was made of that
 * @example whyDown(error, "MongoDB") // "MongoDB refuses the user or the password in MONGODB_URI"
 */
export function whyDown(error: unknown, database: keyof typeof VARIABLES): string {
  const variable = VARIABLES[database];
  const chain = chainOf(error);
  const codes = new Set(chain.flatMap(({ code, errno }) => [code, errno]));
  const has = (...wanted: unknown[]) => wanted.some((code) => codes.has(code));
  // 18 is MongoDB's AuthenticationFailed, 8000 the same of Atlas; the others are MySQL's.
  if (has(18, 8000, 1045, 1698)) return `${database} refuses the user or the password in ${variable}`;
  if (has(1044, 1049)) return `${database} has no database of the name in ${variable} for its user`;
  if (has("ENOTFOUND", "EAI_AGAIN")) return `${database}: the host in ${variable} is not known here`;
  if (has("ECONNREFUSED")) return `${database}: nothing listens at the address in ${variable}`;
  if ([...codes].some((code) => typeof code === "string" && /CERT|TLS|SSL|SIGNATURE/.test(code)))
    return `${database}: no secure connection to the address in ${variable}, or its certificate is not trusted`;
  const known = chain.find(({ reason }) => reason?.type === "ReplicaSetNoPrimary")?.reason?.servers;
  if (known?.size === 0) return `${database} is no member of the replica set that ${variable} names`;
  if (known && [...known.values()].every((server) => !server.error)) return `${database} has no primary now`;
  return `${database} does not answer`;
}
