import { getPathNoStrict } from "hono/utils/url";

/**
 * The path of a request, as routes are found by it. Bun writes the Host header in front of `request.url`, and leaves
 * the path alone there when the header is missing or no host; Hono would then take the path's first part for the host.
 */
export const pathOf = (request: Request): string =>
  getPathNoStrict(request.url.startsWith("/") ? ({ url: `http://host${request.url}` } as Request) : request);

/**
 * The query string of a request's address with its question mark, or "" where it is empty.
 * @example queryOf("http://localhost/a?b=1#c") // "?b=1"
 */
export function queryOf(url: string): string {
  const [address = ""] = url.split("#", 1);
  const start = address.indexOf("?");
  return start === -1 || start === address.length - 1 ? "" : address.slice(start);
}

/** A name, or an IP address in the form of a URL, and perhaps a port. Two Host headers arrive as one with a comma. */
const HOST = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d*)?$/i;

/** Hosts that were looked at and are good; as few as an instance has. */
const MOST_HOSTS = 100;

/**
 * Makes a check of a request's Host header: false when it is missing, doubled or no host and port (RFC 9112, section
 * 3.2). A request that was made in this process has a whole URL instead.
 */
export function createHostCheck(): (request: Request) => boolean {
  const good = new Set<string>();
  return ({ url, headers }) => {
    const host = headers.get("host");
    // Bun writes the header in front of the path; where that is so, and the host is good, the URL is whole.
    if (host !== null && good.has(host) && url.startsWith(`http://${host}/`)) return true;
    if (!URL.canParse(url)) return false;
    if (host === null) return true;
    if (!HOST.test(host) || !URL.canParse(`http://${host}/`)) return false;
    if (good.size < MOST_HOSTS) good.add(host);
    return true;
  };
}
