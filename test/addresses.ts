/**
 * Changes addresses of databases as text: `URL` refuses MongoDB's form with several hosts
 * (`mongodb://a:1,b:2/shop?replicaSet=rs0`).
 */

/** An address in its parts: scheme and secrets, hosts, database, options. */
const PARTS = /^([^:]+:\/\/(?:[^/?#]*@)?)([^/?#]*)(?:\/([^?#]*))?(?:\?(.*))?$/;

function partsOf(url: string) {
  const [, before, hosts, database = "", options = ""] = PARTS.exec(url) ?? [];
  if (before === undefined || hosts === undefined) throw new Error("this is no address of a database");
  return { before, hosts, database, options: new URLSearchParams(options) };
}

function join({ before, hosts, database, options }: ReturnType<typeof partsOf>): string {
  return `${before}${hosts}/${database}${options.size > 0 ? `?${options}` : ""}`;
}

/** The database that an address names, or "". */
export const databaseOf = (url: string): string => decodeURIComponent(partsOf(url).database);

/** The hosts of an address with their ports, as they stand there. */
export const hostsOf = (url: string): string[] => partsOf(url).hosts.split(",");

/** The same address with another database. */
export const withDatabase = (url: string, name: string): string => join({ ...partsOf(url), database: name });

/** The same address with a further option. */
export function withOption(url: string, name: string, value: string): string {
  const parts = partsOf(url);
  parts.options.set(name, value);
  return join(parts);
}

/**
 * The same address at another host. A driver of MongoDB that is told of a replica set goes on to the members by the
 * names that they give themselves; so that it stays at this host, the address no longer speaks of a set.
 */
export function withHost(url: string, host: string): string {
  const parts = { ...partsOf(url), hosts: host };
  if (parts.before.startsWith("mongodb:")) {
    // MongoDB's drivers take names of options in any case.
    for (const name of [...parts.options.keys()])
      if (/^(replicaSet|directConnection)$/i.test(name)) parts.options.delete(name);
    parts.options.set("directConnection", "true");
  }
  return join(parts);
}
