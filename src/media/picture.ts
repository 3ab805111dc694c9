/**
 * Pictures as they come in and as they are kept: checked by their own bytes, decoded, and encoded anew, so
 * that nothing of what was sent is ever given out again: no metadata, no trailing data, no other format.
 */
import type { Sharp } from "sharp";
import { AppError, type FieldCode, invalidInput } from "../lib/errors";

/** Largest file, in bytes. */
export const MAX_BYTES = 10 * 1024 * 1024;
/** Most pixels: a small file can unfold into gigabytes. */
const MAX_PIXELS = 40_000_000;
/** Highest that a WebP file can be, in pixels. */
const MAX_HEIGHT = 16_383;
/** Widths that are kept; a picture is never made larger than it is. */
const WIDTHS = [320, 640, 1280, 1920] as const;
/** Pictures that are worked on at once in this process; each may take 200 MB. */
const AT_ONCE = 2;
/** Pictures that may wait for that; more are told to come back. */
const WAITING = 8;

/** One encoded picture. */
export interface Rendition {
  width: number;
  height: number;
  bytes: Uint8Array;
}

export interface Picture {
  /** Of the largest rendition. */
  width: number;
  height: number;
  renditions: Rendition[];
}

/**
 * The beginning of a page, a drawing or a program. The short names count only with text behind them: among ten
 * million bytes of compressed data one picture in fifty holds the four of `<svg` by chance.
 */
const MARKUP =
  /<(?:script|iframe|!doctype|(?:html|body|svg|\?php)[\s/>](?:[\t\n\r\x20-\x7e]{8}|[\t\n\r\x20-\x7e]{0,7}$))/i;

const startsWith = (bytes: Uint8Array, text: string, at = 0) =>
  Buffer.from(bytes.subarray(at, at + text.length)).toString("latin1") === text;

/** The format that the first bytes name. */
function formatOf(bytes: Uint8Array): "jpeg" | "png" | "webp" | "avif" | undefined {
  if (startsWith(bytes, "\xff\xd8\xff")) return "jpeg";
  if (startsWith(bytes, "\x89PNG\r\n\x1a\n")) return "png";
  if (startsWith(bytes, "RIFF") && startsWith(bytes, "WEBP", 8)) return "webp";
  if (startsWith(bytes, "ftypavif", 4) || startsWith(bytes, "ftypavis", 4)) return "avif";
  return undefined;
}

const refuse = (code: FieldCode, message: string) => invalidInput("file", code, message);

/** sharp is loaded for the first picture: it takes 30 MB, and most processes never see one. */
const loadSharp = async () => {
  const { default: sharp } = await import("sharp");
  // A picture takes one core, so that the others are there for other requests.
  sharp.concurrency(1);
  return sharp;
};

let working = 0;
const queue: (() => void)[] = [];
/** AVIF encodings that wait; one runs at a time, and uploads go first. */
const later: (() => void)[] = [];
let encoding = false;

/** Gives free places to whoever waits. */
function next(): void {
  while (working < AT_ONCE) {
    const upload = queue.shift();
    const start = upload ?? (encoding ? undefined : later.shift());
    if (!start) return;
    working++;
    if (!upload) encoding = true;
    start();
  }
}

/**
 * Runs `work` when there is room.
 * @throws AppError service_unavailable when too many wait already
 */
export async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (working >= AT_ONCE && queue.length >= WAITING) {
    throw new AppError("service_unavailable", "Too many pictures at once. Try again.", { retryAfter: 2 });
  }
  await new Promise<void>((resolve) => {
    queue.push(resolve);
    next();
  });
  try {
    return await work();
  } finally {
    working--;
    next();
  }
}

/**
 * Checks a picture and encodes it as WebP in up to four widths. Takes up to 200 MB: call it `inTurn`.
 * @param widths that are kept, ascending; none is larger than the picture or the last of them
 * @throws AppError invalid_input when it is none of JPEG, PNG, WebP and AVIF, is damaged, or hides something
 * @throws AppError payload_too_large when it has too many bytes or pixels
 */
export async function readPicture(bytes: Uint8Array, widths: readonly number[] = WIDTHS): Promise<Picture> {
  if (bytes.length > MAX_BYTES) {
    throw new AppError("payload_too_large", `A picture must be at most ${MAX_BYTES / 1024 / 1024} MB.`);
  }
  const format = formatOf(bytes);
  if (format === undefined) throw refuse("not_allowed", "must be a JPEG, PNG, WebP or AVIF picture");
  if (MARKUP.test(Buffer.from(bytes).toString("latin1"))) {
    throw refuse("not_allowed", "holds markup or code beside the picture; export it again without");
  }
  const sharp = await loadSharp();
  const source = sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: "error", animated: false });
  const { width = 0, height = 0 } = await source.metadata().catch((cause: Error) => {
    throw /pixel limit/i.test(cause.message) ? tooManyPixels() : damaged(cause);
  });
  if (width * height > MAX_PIXELS) throw tooManyPixels();
  const largest = widths.at(-1) ?? width;
  // Decoded once and turned upright; the smaller ones are made from what is left.
  const { data, info } = await source
    .rotate()
    .resize({ width: largest, height: MAX_HEIGHT, fit: "inside", withoutEnlargement: true })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((cause: Error) => {
      throw /pixel limit/i.test(cause.message) ? tooManyPixels() : damaged(cause);
    });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const renditions: Rendition[] = [];
  for (const wanted of widthsOf(info.width, widths)) {
    renditions.push(
      await encode(sharp(data, { raw }).resize({ width: wanted }).webp({ quality: 80, effort: 2 })).catch(
        (cause: Error) => {
          throw damaged(cause);
        },
      ),
    );
  }
  return { width: info.width, height: info.height, renditions };
}

/** Encodes a kept picture as AVIF, which takes seconds: a job's work. One at a time, behind the uploads. */
export async function encodeAvif(webp: Uint8Array): Promise<Rendition> {
  await new Promise<void>((resolve) => {
    later.push(resolve);
    next();
  });
  try {
    return await encode((await loadSharp())(webp).avif({ quality: 55, effort: 2 }));
  } finally {
    encoding = false;
    working--;
    next();
  }
}

async function encode(image: Sharp): Promise<Rendition> {
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, bytes: data };
}

/** The widths to keep of a picture: those below its own, and its own. */
const widthsOf = (width: number, widths: readonly number[]): number[] => [
  ...widths.filter((wanted) => wanted < width),
  width,
];

const tooManyPixels = () =>
  new AppError("payload_too_large", `A picture must have at most ${MAX_PIXELS / 1_000_000} megapixels.`);
const damaged = (cause: Error) =>
  new AppError("invalid_input", "The picture is damaged or not whole.", {
    errors: [{ path: "file", code: "invalid_format", message: "is damaged or not whole; export it again" }],
    cause,
  });
