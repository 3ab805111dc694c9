import type { Context } from "hono";
import { AppError, invalidInput } from "../../errors";
import { MAX_BYTES } from "./picture";
import { altSchema } from "./schema";

/** Around the file: boundaries, names, the text. */
const ENVELOPE = 16 * 1024;
/** The routes that take more than others. */
export const UPLOADS = [
  { method: "POST", path: /^\/api\/products\/[^/]+\/images\/?$/, max: MAX_BYTES + ENVELOPE },
  { method: "PUT", path: /^\/api\/users\/me\/avatar\/?$/, max: MAX_BYTES + ENVELOPE },
];

const EXTENSIONS = new Set(["jpg", "jpeg", "png", "webp", "avif"]);

/**
 * The one file of a multipart form, and its text. The name that was sent decides nothing; one that ends as a
 * program's or a page's does is refused, because whoever sends `a.jpg.php` tries something.
 * @param takesAlt whether the form may hold a text
 * @throws AppError unsupported_media_type, malformed_request, invalid_input
 */
export async function readUpload(c: Context, takesAlt = true): Promise<{ bytes: Uint8Array; alt: string }> {
  if (!/^multipart\/form-data\s*;/i.test(c.req.header("content-type") ?? "")) {
    throw new AppError(
      "unsupported_media_type",
      "Send the picture as multipart/form-data in the field file.",
    );
  }
  const type = c.req.header("content-type") ?? "";
  const body = new Response(await c.req.arrayBuffer(), { headers: { "content-type": type } });
  const form = await body.formData().catch((cause) => {
    throw new AppError("invalid_input", "The form is not whole.", {
      errors: [{ path: "file", code: "form", message: "the multipart form is malformed or not whole" }],
      cause,
    });
  });
  const unknown = [...form.keys()].find((name) => name !== "file" && !(takesAlt && name === "alt"));
  if (unknown !== undefined)
    throw invalidInput(unknown.slice(0, 100), "unknown_key", "is not a known key here");
  const [file, ...more] = form.getAll("file");
  if (!(file instanceof Blob) || more.length > 0) {
    throw invalidInput("file", "required", "must be one file in the field file");
  }
  const name = (file as File).name ?? "";
  const extension = /\.([^./\\]*)$/.exec(name)?.[1]?.toLowerCase();
  if (extension !== undefined && extension !== "" && !EXTENSIONS.has(extension)) {
    throw invalidInput("file", "name", "must be named as a picture: .jpg, .png, .webp or .avif");
  }
  const alt = altSchema.safeParse(form.get("alt") ?? "");
  if (!alt.success) throw invalidInput("alt", "invalid", alt.error.issues[0]?.message ?? "is not valid");
  return { bytes: await file.bytes(), alt: alt.data };
}
