import type { Context } from "hono";
import { z } from "zod";
import { type FormBody, form } from "../http/endpoint";
import type { AppEnv } from "../http/factory";
import { SECOND } from "../lib/clock";
import { AppError, invalidInput } from "../lib/errors";
import { altSchema } from "./alt";
import { inTurn, MAX_BYTES } from "./picture";

/** Around the file: boundaries, names, the text. */
const ENVELOPE = 16 * 1024;
/** Largest body, in bytes. */
const MAX_BODY = MAX_BYTES + ENVELOPE;

const pictureFile = z.file().describe("JPEG, PNG, WebP or AVIF; at most 10 MB and 40 megapixels");
/** The body of a route that takes one picture. */
export const pictureForm = form(z.strictObject({ file: pictureFile }), MAX_BODY);
/** The body of a route that takes one picture and its text. */
export const describedPictureForm = form(
  z.strictObject({ file: pictureFile, alt: altSchema.optional() }),
  MAX_BODY,
);

/** Bodies that are read at once in this process: each lies in memory whole. */
const READERS = 16;
/** Of these, one caller's: whoever sends slowly holds a place until the deadline. */
const READERS_OF_ONE = 6;
/** How long a body may take to arrive, in milliseconds: 10 MB at 1.4 Mbit/s. */
const DEADLINE = 60 * SECOND;
/** Bytes that are set aside for a body at first. */
const FIRST = 64 * 1024;

/** Names of pages, drawings and programs: whoever sends `a.jpg.php` tries something. Any other name decides nothing. */
const REFUSED =
  /^(?:p?html?\d?|[sx]html?|php\d?s?|phar|pht|svgz?|xml|xslt?|[cm]?[jt]sx?|aspx?|as[chm]x|jspx?|cgi|pl|py|rb|sh|bash|bat|cmd|com|exe|dll|msi|scr|pif|ps1|vb[es]?|wsf|hta|lnk|jar|war|class|swf|pdf|htaccess)$/;

/**
 * Reads a body into memory.
 * @param max bytes
 * @param deadline milliseconds until it must be there, however it trickles in
 * @throws AppError payload_too_large, request_timeout, malformed_request when it breaks off
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | null,
  { max = MAX_BODY, deadline = DEADLINE } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const cancel = () => reader.cancel().catch(() => undefined);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    // Ends the read that waits.
    void cancel();
  }, deadline);
  // One buffer that grows: a list of chunks of a byte each would take a hundred times as much.
  let bytes = new Uint8Array(Math.min(max, FIRST));
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw new AppError("malformed_request", "The upload broke off. Send the file again.", { cause });
      });
      if (late) {
        throw new AppError("request_timeout", `The upload must be here within ${deadline / SECOND} seconds.`);
      }
      if (done) return bytes.subarray(0, size);
      if (size + value.length > max) {
        throw new AppError("payload_too_large", `The body must be at most ${max} bytes.`);
      }
      if (size + value.length > bytes.length) {
        const grown = new Uint8Array(Math.min(max, Math.max(bytes.length * 2, size + value.length)));
        grown.set(bytes.subarray(0, size));
        bytes = grown;
      }
      bytes.set(value, size);
      size += value.length;
    }
  } finally {
    clearTimeout(timer);
    void cancel();
  }
}

let reading = 0;
const readingOf = new Map<string, number>();

/**
 * Reads the body of a caller while there are places.
 * @throws AppError service_unavailable, too_many_requests when the caller alone sends too many
 */
async function receive(body: ReadableStream<Uint8Array> | null, callerId: string, max: number) {
  const own = readingOf.get(callerId) ?? 0;
  if (own >= READERS_OF_ONE) {
    throw new AppError("too_many_requests", `Send at most ${READERS_OF_ONE} pictures at once.`, {
      retryAfter: 2,
    });
  }
  if (reading >= READERS) {
    throw new AppError("service_unavailable", "Too many pictures at once. Try again.", { retryAfter: 2 });
  }
  reading++;
  readingOf.set(callerId, own + 1);
  try {
    return await readBody(body, { max });
  } finally {
    reading--;
    const left = (readingOf.get(callerId) ?? 1) - 1;
    if (left > 0) readingOf.set(callerId, left);
    else readingOf.delete(callerId);
  }
}

/** The one file of a form, and its text. */
export interface Upload {
  bytes: Uint8Array;
  alt: string;
}

/** What makes two uploads the same: the text too, which ends where the file begins. */
export const contentOf = ({ bytes, alt }: Upload): Uint8Array =>
  Buffer.concat([Buffer.from(`${JSON.stringify(alt)}\n`), bytes]);

/**
 * Receives a signed-in caller's upload, and works on it when there is room: who sends slowly keeps nobody from
 * working.
 * @param form what the route states as its body: fields that it does not name are refused
 * @param work runs `inTurn`
 * @throws AppError unsupported_media_type, malformed_request, invalid_input, payload_too_large, request_timeout,
 * too_many_requests, service_unavailable
 */
export async function takeUpload<T>(
  c: Context<AppEnv>,
  form: FormBody,
  work: (upload: Upload) => Promise<T>,
): Promise<T> {
  const type = c.req.header("content-type") ?? "";
  if (!/^multipart\/form-data\s*;/i.test(type)) {
    throw new AppError(
      "unsupported_media_type",
      "Send the picture as multipart/form-data in the field file.",
    );
  }
  const body = await receive(c.req.raw.body, c.get("actor").callerId, form.max);
  return inTurn(async () => work(await readForm(body, type, form)));
}

/**
 * The one file of a multipart form, and its text. Whether it is a picture is told by its bytes; a name that ends as a
 * program's or a page's does is refused.
 * @throws AppError invalid_input
 */
async function readForm(bytes: Uint8Array<ArrayBuffer>, type: string, { fields }: FormBody): Promise<Upload> {
  const body = new Response(bytes, { headers: { "content-type": type } });
  const form = await body.formData().catch((cause) => {
    throw new AppError("invalid_input", "The form is not whole.", {
      errors: [
        { path: "file", code: "invalid_format", message: "the multipart form is malformed or not whole" },
      ],
      cause,
    });
  });
  const unknown = [...form.keys()].find((name) => !Object.hasOwn(fields.shape, name));
  if (unknown !== undefined)
    throw invalidInput(unknown.slice(0, 100), "unknown_field", "is not a field here");
  const [file, ...more] = form.getAll("file");
  if (!(file instanceof Blob) || more.length > 0) {
    throw invalidInput("file", "required", "must be one file in the field file");
  }
  const name = (file as File).name ?? "";
  const extension = /\.([^./\\]*)$/.exec(name)?.[1]?.toLowerCase();
  if (extension !== undefined && REFUSED.test(extension)) {
    throw invalidInput("file", "invalid_format", "must be named as a picture: .jpg, .png, .webp or .avif");
  }
  // What is not UTF-8 was replaced when the form was read, so that two texts could be one.
  if (String(form.get("alt") ?? "").includes("\ufffd")) {
    throw invalidInput("alt", "invalid_format", "must be UTF-8 text");
  }
  const alt = altSchema.safeParse(form.get("alt") ?? "");
  if (!alt.success) throw invalidInput("alt", "invalid", alt.error.issues[0]?.message ?? "is not valid");
  return { bytes: await file.bytes(), alt: alt.data };
}
