import { managerOf } from "../../audit";
import { shown } from "../../http/cache";
import { endpoint, file } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { sendFile } from "../../http/file";
import { idempotent } from "../../http/idempotency";
import { withEtag } from "../../http/preconditions";
import { contentOf, describedPictureForm, takeUpload } from "../../media";
import type { ProductDeps } from "../deps";
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

const tag = "Pictures";

/** /api/products/:id/images */
export const imageRoutes = (deps: ProductDeps) =>
  factory
    .createApp()
    .get(
      "/",
      shown(PRODUCTS),
      endpoint(deps, {
        id: "listPictures",
        summary: "List a product's pictures",
        tag,
        caller: "optional",
        params: keyParam,
        success: { 200: pictureListAnswer },
        errors: ["not_found"],
      }),
      async (c) => {
        const data = await listPictures(deps, c.get("actor"), c.req.valid("param").id);
        return c.json({ data }, 200);
      },
    )
    .post(
      "/",
      endpoint(deps, {
        id: "addPicture",
        summary: "Add a picture",
        description:
          "multipart/form-data with the field file (JPEG, PNG, WebP or AVIF; 10 MB, 40 megapixels) and, if wanted, alt.",
        tag,
        permission: "products:write",
        params: productParam,
        body: describedPictureForm,
        success: { 201: pictureAnswer },
        errors: ["not_found", "request_timeout", "conflict", "too_many_requests"],
        idempotent: true,
      }),
      (c) =>
        takeUpload(c, describedPictureForm, (upload) => {
          const { id } = c.req.valid("param");
          return idempotent(
            c,
            deps,
            deps.idempotency.mongo,
            201,
            (record) => addPicture(deps, managerOf(c), id, upload, record),
            contentOf(upload),
          );
        }),
    )
    .patch(
      "/:imageId",
      endpoint(deps, {
        id: "changePicture",
        summary: "Change a picture's text, its variants or its place",
        tag,
        permission: "products:write",
        params: pictureParam,
        body: changePictureSchema,
        success: { 200: pictureAnswer },
        errors: ["not_found", "conflict"],
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const { id, imageId } = c.req.valid("param");
        const picture = await changePicture(
          deps,
          managerOf(c),
          id,
          imageId,
          c.req.valid("json"),
          c.get("expectedVersions"),
        );
        return withEtag(c, picture);
      },
    )
    .delete(
      "/:imageId",
      endpoint(deps, {
        id: "removePicture",
        summary: "Remove a picture",
        tag,
        permission: "products:write",
        params: pictureParam,
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        const { id, imageId } = c.req.valid("param");
        await removePicture(deps, managerOf(c), id, imageId);
        return c.body(null, 204);
      },
    )
    .get(
      "/:imageId/:file",
      endpoint(deps, {
        id: "readPictureFile",
        summary: "Get a picture's file",
        tag,
        params: fileParam,
        success: { 200: file("image/webp", "image/avif") },
        errors: ["not_found"],
        etag: true,
        cache: "public, max-age=31536000, immutable",
      }),
      (c) => {
        const { id, imageId, file: name } = c.req.valid("param");
        const answer = {
          name: `${imageId}-${name}`,
          type: name.endsWith(".avif") ? "image/avif" : "image/webp",
        };
        return sendFile(c, answer, (known) => readPictureFile(deps, id, imageId, name, known));
      },
    );
