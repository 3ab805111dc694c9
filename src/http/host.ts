import { getPathNoStrict } from "hono/utils/url";
import { factory } from "./factory";
import { problem } from "./problems";

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

/**
 * Refuses a request whose Host header is missing, doubled or no host and port (RFC 9112, section 3.2): 400. A request
 * that was made in this process has a whole URL instead.
 */
export const requireHost = () =>
  factory.createMiddleware(async (c, next) => {
    const host = c.req.header("host");
    const isWhole = URL.canParse(c.req.url);
    if (!isWhole || (host !== undefined && !(HOST.test(host) && URL.canParse(`http://${host}/`)))) {
      return problem(c, "malformed_request", "Send exactly one Host header, with a host and perhaps a port.");
    }
    await next();
  });
