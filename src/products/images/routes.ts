import { knowUser, requirePermission, requireUser } from "../../auth/guard";
import type { Deps } from "../../deps";
import { shown } from "../../http/cache";
import { describe } from "../../http/describe";
import { etagOf, ifMatch } from "../../http/etag";
import { factory } from "../../http/factory";
import { sendFile } from "../../http/file";
import { once } from "../../http/idempotency";
import { input } from "../../http/input";
import { PRODUCTS } from "../freshness";
import { keyParam } from "../schema";
import {
  changePictureSchema,
  fileParam,
  pictureAnswer,
  pictureListAnswer,
  pictureParam,
  productParam,
} from "./schema";
import { addPicture, changePicture, listPictures, readPictureFile, removePicture } from "./service";
import { takeUpload } from "./upload";

const tag = "Pictures";

/** /api/products/:id/images */
export const imageRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List a product's pictures",
        tag,
        response: pictureListAnswer,
        errors: ["not_found"],
      }),
      shown(PRODUCTS),
      knowUser(deps),
      input("param", keyParam),
      async (c) => {
        const data = await listPictures(deps, c.get("actor"), c.req.valid("param").id);
        return c.json({ data }, 200);
      },
    )
    .post(
      "/",
      describe({
        summary: "Add a picture",
        description:
          "multipart/form-data with the field file (JPEG, PNG, WebP or AVIF; 10 MB, 40 megapixels) and, if wanted, alt.",
        tag,
        response: pictureAnswer,
        status: 201,
        secured: true,
        errors: [
          "forbidden",
          "not_found",
          "request_timeout",
          "payload_too_large",
          "unsupported_media_type",
          "conflict",
          "too_many_requests",
          "service_unavailable",
        ],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", productParam),
      (c) =>
        takeUpload(c, true, (upload) => {
          const { id } = c.req.valid("param");
          return once(
            c,
            deps,
            deps.idempotency.mongo,
            201,
            (record) => addPicture(deps, id, upload, record),
            upload.bytes,
          );
        }),
    )
    .patch(
      "/:imageId",
      describe({
        summary: "Change a picture's text or place",
        tag,
        response: pictureAnswer,
        secured: true,
        errors: ["forbidden", "not_found", "precondition_failed", "conflict"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", pictureParam),
      input("json", changePictureSchema),
      async (c) => {
        const { id, imageId } = c.req.valid("param");
        const picture = await changePicture(deps, id, imageId, c.req.valid("json"), ifMatch(c));
        c.header("ETag", etagOf(picture.version));
        return c.json({ data: picture }, 200);
      },
    )
    .delete(
      "/:imageId",
      describe({
        summary: "Remove a picture",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requireUser(deps),
      requirePermission("products:write"),
      input("param", pictureParam),
      async (c) => {
        const { id, imageId } = c.req.valid("param");
        await removePicture(deps, id, imageId);
        return c.body(null, 204);
      },
    )
    .get(
      "/:imageId/:file",
      describe({ summary: "Get a picture's file", tag, errors: ["not_found"] }),
      input("param", fileParam),
      (c) => {
        const { id, imageId, file } = c.req.valid("param");
        const answer = {
          name: `${imageId}-${file}`,
          type: file.endsWith(".avif") ? "image/avif" : "image/webp",
          cache: "public, max-age=31536000, immutable",
        };
        return sendFile(c, answer, (known) => readPictureFile(deps, id, imageId, file, known));
      },
    );
