import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http, { type RequestListener, type Server } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPictureSource, type PictureSourceOptions, PictureUnavailable } from "./download";
import { createAddressGuard } from "./public-address";

const LOCAL = ["127.0.0.1"];
const folder = mkdtempSync(join(tmpdir(), "aizy-pictures-"));
const [keyFile, certFile] = [join(folder, "key.pem"), join(folder, "cert.pem")];
execFileSync(
  "openssl",
  [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-keyout", keyFile, "-out", certFile, "-subj", "/CN=pictures.test"],
    ...["-addext", "subjectAltName=DNS:pictures.test"],
  ],
  { stdio: "ignore" },
);
const [key, ca] = [readFileSync(keyFile), readFileSync(certFile, "utf8")];

const servers: Server[] = [];
const listen = (server: Server): Promise<number> =>
  new Promise((done) => {
    servers.push(server);
    server.listen(0, "127.0.0.1", () => done((server.address() as AddressInfo).port));
  });

/** What was asked of the servers, with the host that was meant. */
const asked: string[] = [];
let busy = 2;
const answer: RequestListener = (request, response) => {
  const { url = "" } = request;
  asked.push(`${request.headers.host?.replace(/:\d+$/, "")}${url}`);
  const [, name, rest] = url.split("/");
  const send = (status: number, headers: Record<string, string>, body: string | Uint8Array = "") => {
    response.writeHead(status, headers);
    response.end(body);
  };
  if (name === "ok") send(200, { "content-type": "image/png" }, "picture");
  else if (name === "to") send(302, { location: decodeURIComponent(rest ?? "") });
  else if (name === "loop") send(302, { location: `/loop/${Number(rest ?? 0) + 1}` });
  else if (name === "page") send(200, { "content-type": "text/html; charset=utf-8" }, "<html>");
  else if (name === "large") send(200, { "content-type": "image/png" }, "x".repeat(200));
  else if (name === "endless") {
    response.writeHead(200, { "content-type": "image/png" });
    const timer = setInterval(() => response.write("x".repeat(64)), 1);
    response.on("close", () => clearInterval(timer));
  } else if (name === "silent") response.writeHead(200, { "content-type": "image/png" }).write("x");
  else if (name === "busy") send(busy-- > 0 ? 503 : 200, {}, "picture");
  else if (name === "short") {
    response.writeHead(200, { "content-length": "100" });
    response.write("x");
    setImmediate(() => response.destroy());
  } else send(404, {});
};

let plain = 0;
let secure = 0;
beforeAll(async () => {
  plain = await listen(http.createServer(answer));
  secure = await listen(https.createServer({ key, cert: ca }, answer) as unknown as Server);
});
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true });
});

const resolve = async () => LOCAL;
/** What becomes of an address: the text of the picture, or why it cannot be had. */
async function tell(address: string, options: PictureSourceOptions = {}): Promise<string> {
  const source = createPictureSource({
    networks: LOCAL,
    allowHttp: true,
    pauses: [],
    ca,
    resolve,
    ...options,
  });
  try {
    return Buffer.from(await source.fetch(address)).toString();
  } catch (error) {
    if (!(error instanceof PictureUnavailable)) throw error;
    return error.message;
  }
}
const at = (path: string) => `http://pictures.test:${plain}/${path}`;
const safe = (path: string) => `https://pictures.test:${secure}/${path}`;
const NOT_PUBLIC = "has a host that is not public";

describe("addresses that may be asked", () => {
  test.each([
    ...["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255"],
    ...["192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.169.254", "192.0.0.1", "192.0.2.1"],
    ...["198.18.0.1", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1"],
    ...["255.255.255.255", "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8"],
    ...["::ffff:0:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1"],
    ...["fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "4000::1"],
    ...["", "localhost", "example.com", "8.8.8.8/32"],
  ])("%p may not", (address) => {
    expect(createAddressGuard([])(address)).toBe(false);
  });

  test.each(["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:800::200e"])(
    "%s may",
    (address) => {
      expect(createAddressGuard([])(address)).toBe(true);
    },
  );

  test("networks of one's own are named exactly", () => {
    const may = createAddressGuard(["10.1.0.0/16", "192.168.1.7", "fd00::/64"]);
    expect(["10.1.2.3", "192.168.1.7", "fd00::9"].map(may)).toEqual([true, true, true]);
    expect(["10.2.0.1", "192.168.1.8", "fd00:0:0:1::1", "::ffff:10.1.2.3"].map(may)).toEqual(
      Array(4).fill(false),
    );
  });
});

describe("a picture elsewhere", () => {
  test("is fetched over https from the address that was checked, by the name of its host", async () => {
    asked.length = 0;
    expect(await tell(safe("ok"), { allowHttp: false })).toBe("picture");
    expect(asked).toEqual(["pictures.test/ok"]);
    // The certificate is of another host, and of nobody that is trusted.
    expect(await tell(`https://other.test:${secure}/ok`)).toStartWith("could not be fetched (ERR_TLS_CERT");
    const untrusted = createPictureSource({ networks: LOCAL, pauses: [], resolve });
    expect(untrusted.fetch(safe("ok"))).rejects.toThrow("could not be fetched");
  });

  test("a host that says another address after the check is not asked there", async () => {
    // Nobody listens at the first one, and the server does at the second.
    const answers = [["127.0.0.2"], LOCAL];
    const hostile = async () => answers.shift() ?? LOCAL;
    asked.length = 0;
    const told = await tell(at("ok"), { networks: ["127.0.0.0/8"], resolve: hostile });
    expect(told).toStartWith("could not be fetched");
    expect(asked).toEqual([]);
    expect(answers).toEqual([LOCAL]);
  });

  test.each([
    [
      "http without leave",
      () => at("ok"),
      { allowHttp: false },
      "must be an https address; http is not allowed here",
    ],
    ["another scheme", () => "file:///etc/passwd", {}, "must be an https address"],
    ["no address", () => "picture.jpg", {}, "is no address of a picture"],
    ["no host", () => "https://", {}, "is no address of a picture"],
    ["too long", () => at("x".repeat(2000)), {}, "is no address of a picture"],
    ["a password", () => "https://name:word@pictures.test/", {}, "must not hold a name or password"],
    ["a name alone", () => "https://name@pictures.test/", {}, "must not hold a name or password"],
    ["this machine", () => at("ok"), { networks: [] }, NOT_PUBLIC],
    [
      "one public address of two",
      () => at("ok"),
      { resolve: async () => ["127.0.0.1", "10.0.0.1"] },
      NOT_PUBLIC,
    ],
    ["no addresses", () => at("ok"), { resolve: async () => [] }, "has a host that is not found"],
    ["127.1", () => `http://127.1:${plain}/ok`, { networks: [] }, NOT_PUBLIC],
    ["a number", () => `http://2130706433:${plain}/ok`, { networks: [] }, NOT_PUBLIC],
    ["hexadecimal", () => `http://0x7f.0.0.1:${plain}/ok`, { networks: [] }, NOT_PUBLIC],
    ["IPv6", () => `http://[::1]:${plain}/ok`, { networks: [] }, NOT_PUBLIC],
    ["IPv4 as IPv6", () => `http://[::ffff:127.0.0.1]:${plain}/ok`, {}, NOT_PUBLIC],
    ["what metadata services have", () => "http://169.254.169.254/latest/meta-data", {}, NOT_PUBLIC],
    ["not there", () => at("missing"), {}, "was answered with 404"],
    ["a page", () => at("page"), {}, "is text/html and no picture"],
    ["too large", () => at("large"), { maxBytes: 100 }, "is larger than"],
    ["without end", () => at("endless"), { maxBytes: 1000 }, "is larger than"],
    ["cut off", () => at("short"), {}, /broke off|could not be fetched/],
    ["never done", () => at("silent"), { timeLimit: 200 }, "was not here within 0.2 s"],
    [
      "a look-up without end",
      () => at("ok"),
      { timeLimit: 100, resolve: () => new Promise<never>(() => {}) },
      "was not here",
    ],
    ["redirects without end", () => at("loop"), {}, "leads on more than 5 times"],
  ] as [string, () => string, PictureSourceOptions, string | RegExp][])(
    "%s",
    async (_, address, options, reason) => {
      const told = await tell(address(), options);
      if (typeof reason === "string") expect(told).toStartWith(reason);
      else expect(told).toMatch(reason);
    },
  );

  test("a redirect is checked as the address itself is", async () => {
    const to = (address: string) => at(`to/${encodeURIComponent(address)}`);
    expect(await tell(to("/ok"))).toBe("picture");
    expect(await tell(to(safe("ok")))).toBe("picture");
    asked.length = 0;
    expect(await tell(to("http://10.0.0.1/ok"))).toBe(NOT_PUBLIC);
    expect(await tell(to("http://169.254.169.254/"))).toBe(NOT_PUBLIC);
    expect(await tell(to("https://name:word@pictures.test/ok"))).toBe("must not hold a name or password");
    expect(await tell(to("file:///etc/passwd"))).toBe("must be an https address");
    expect(await tell(to("gopher://pictures.test/"))).toBe("must be an https address");
    const down = safe(`to/${encodeURIComponent(at("ok"))}`);
    expect(await tell(down, { allowHttp: false })).toStartWith("must be an https address");
    expect(asked.every((path) => path.startsWith("pictures.test/to/"))).toBe(true);
    // The name of the second look-up leads inside.
    const answers = [LOCAL, ["192.168.0.1"]];
    expect(await tell(to("http://inside.test/ok"), { resolve: async () => answers.shift() ?? [] })).toBe(
      NOT_PUBLIC,
    );
  });

  test("what may pass is tried again, what is certain is not; whoever stops waits for nothing", async () => {
    asked.length = 0;
    expect(await tell(at("busy"), { pauses: [1, 1] })).toBe("picture");
    expect(asked).toHaveLength(3);
    asked.length = 0;
    await tell(at("missing"), { pauses: [1, 1] });
    expect(asked).toHaveLength(1);
    const stop = new AbortController();
    const source = createPictureSource({ networks: LOCAL, allowHttp: true, resolve });
    const fetching = source.fetch(at("silent"), stop.signal);
    stop.abort(new Error("stopped"));
    expect(fetching).rejects.toThrow("stopped");
  });
});
