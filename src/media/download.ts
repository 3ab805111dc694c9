/** Fetches pictures from addresses that other people wrote down: what is asked, where, and how much is taken is bounded. */
import { lookup } from "node:dns/promises";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import { pause, SECOND } from "../lib/clock";
import { MAX_BYTES } from "./picture";
import { createAddressGuard } from "./public-address";

/** Redirects that are followed for one picture. */
const MAX_REDIRECTS = 5;
/** For one try, redirects and look-ups included, in milliseconds. */
const TIME_LIMIT = 30 * SECOND;
/** Between the tries for what may pass, in milliseconds. */
const PAUSES = [SECOND, 5 * SECOND];
/** Longest address, in characters. */
const MAX_ADDRESS = 2000;
/** What servers call files of which they know no more. */
const UNTYPED = /^(?:image\/|application\/octet-stream|binary\/octet-stream)/i;
/** Answers that may be others in a moment: RFC 9110, 15.5.9 and 15.6; RFC 6585, 4; RFC 8470, 5.2. */
const mayPass = (status: number): boolean => status >= 500 || [408, 425, 429].includes(status);

/** Why a picture cannot be had, as a person may read it. */
export class PictureUnavailable extends Error {
  override readonly name = "PictureUnavailable";
  constructor(
    reason: string,
    /** Whether another try may do better. */
    readonly passing = false,
  ) {
    super(reason);
  }
}

export interface PictureSource {
  /**
   * The bytes that lie at an address; whether they are a picture, whoever reads them says.
   * @throws PictureUnavailable
   */
  fetch(address: string, signal?: AbortSignal): Promise<Uint8Array>;
}

export interface PictureSourceOptions {
  /** Plain http too. */
  allowHttp?: boolean;
  /** Networks that may be asked although they are not public, in CIDR form. */
  networks?: string[];
  /** Most bytes. */
  maxBytes?: number;
  /** For one try, in milliseconds. */
  timeLimit?: number;
  /** Between the tries, in milliseconds; one try more than there are of them. */
  pauses?: number[];
  /** The addresses of a host. */
  resolve?: (host: string) => Promise<string[]>;
  /** A certificate to trust beside the usual ones. */
  ca?: string;
}

const resolveByDns = async (host: string): Promise<string[]> =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** An address that may be asked for, without what only browsers use of it. @throws PictureUnavailable */
function parseAddress(text: string, allowHttp: boolean, base?: URL): URL {
  const url = text.length > MAX_ADDRESS ? null : URL.parse(text, base);
  if (url === null) throw new PictureUnavailable("is no address of a picture");
  if (url.protocol !== "https:" && !(allowHttp && url.protocol === "http:")) {
    throw new PictureUnavailable(
      `must be an https address${url.protocol === "http:" ? "; http is not allowed here" : ""}`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new PictureUnavailable("must not hold a name or password");
  }
  url.hash = "";
  return url;
}

/** Makes the one way to pictures elsewhere. */
export function createPictureSource(options: PictureSourceOptions = {}): PictureSource {
  const { allowHttp = false, maxBytes = MAX_BYTES, timeLimit = TIME_LIMIT, pauses = PAUSES } = options;
  const { resolve = resolveByDns, ca } = options;
  const isAllowed = createAddressGuard(options.networks ?? []);

  /** Where a host is: all of its addresses, of which each may be asked. @throws PictureUnavailable */
  async function checkedAddresses(host: string): Promise<string[]> {
    const bare = host.replace(/^\[(.*)\]$/, "$1");
    const addresses =
      isIP(bare) !== 0
        ? [bare]
        : await resolve(bare).catch(() => {
            throw new PictureUnavailable("has a host that is not found", true);
          });
    if (addresses.length === 0) throw new PictureUnavailable("has a host that is not found", true);
    if (!addresses.every(isAllowed)) throw new PictureUnavailable("has a host that is not public");
    return addresses;
  }

  /** Asks one of the checked addresses: the connection looks nothing up again. */
  const ask = (url: URL, addresses: string[], signal: AbortSignal) =>
    new Promise<IncomingMessage>((done, fail) => {
      const found = addresses.map((address) => ({ address, family: isIP(address) }));
      const { get } = url.protocol === "https:" ? https : http;
      const request = get(
        url,
        {
          signal,
          agent: false,
          headers: {
            accept: "image/avif,image/webp,image/png,image/jpeg,*/*;q=0.1",
            "accept-encoding": "identity",
            "user-agent": "aizy-import",
          },
          lookup: (_host, { all }, callback) =>
            all ? callback(null, found) : callback(null, addresses[0] ?? "", found[0]?.family),
          ...(ca === undefined ? {} : { ca }),
        },
        done,
      );
      request.on("error", fail);
    });

  /** Takes the body, or as much of it as shows that it is too much. */
  async function take(answer: IncomingMessage): Promise<Uint8Array> {
    const announced = Number(answer.headers["content-length"] ?? Number.NaN);
    const tooLarge = () => new PictureUnavailable(`is larger than ${maxBytes / 1024 / 1024} MB`);
    if (announced > maxBytes) throw tooLarge();
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answer as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge();
      chunks.push(chunk);
    }
    if (size < announced) throw new PictureUnavailable("broke off", true);
    return Buffer.concat(chunks);
  }

  async function attempt(address: string, signal: AbortSignal): Promise<Uint8Array> {
    let url = parseAddress(address, allowHttp);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const addresses = await checkedAddresses(url.hostname);
      signal.throwIfAborted();
      const answer = await ask(url, addresses, signal);
      try {
        const { statusCode: status = 0, headers } = answer;
        if ([301, 302, 303, 307, 308].includes(status) && headers.location !== undefined) {
          url = parseAddress(headers.location, allowHttp, url);
          continue;
        }
        if (status !== 200) throw new PictureUnavailable(`was answered with ${status}`, mayPass(status));
        const type = headers["content-type"];
        if (type !== undefined && !UNTYPED.test(type.trim())) {
          throw new PictureUnavailable(`is ${type.split(";")[0]?.trim().slice(0, 50)} and no picture`);
        }
        return await take(answer);
      } finally {
        answer.destroy();
      }
    }
    throw new PictureUnavailable(`leads on more than ${MAX_REDIRECTS} times`);
  }

  /** One try in its time. */
  async function timed(address: string, given: AbortSignal): Promise<Uint8Array> {
    const limit = AbortSignal.timeout(timeLimit);
    const signal = AbortSignal.any([given, limit]);
    const ended = new Promise<never>((_, fail) => {
      signal.addEventListener("abort", () => fail(signal.reason), { once: true });
    });
    try {
      // A look-up cannot be ended: it is left behind.
      return await Promise.race([attempt(address, signal), ended]);
    } catch (error) {
      given.throwIfAborted();
      if (limit.aborted) throw new PictureUnavailable(`was not here within ${timeLimit / SECOND} s`, true);
      if (error instanceof PictureUnavailable) throw error;
      const { code } = error as { code?: unknown };
      throw new PictureUnavailable(`could not be fetched (${code ?? "the connection broke"})`, true);
    }
  }

  return {
    async fetch(address, signal = new AbortController().signal) {
      for (let n = 0; ; n++) {
        try {
          return await timed(address, signal);
        } catch (error) {
          const wait = pauses[n];
          if (wait === undefined || !(error instanceof PictureUnavailable) || !error.passing) throw error;
          await pause(wait, signal);
          signal.throwIfAborted();
        }
      }
    },
  };
}
