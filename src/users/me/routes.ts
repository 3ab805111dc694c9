import { clearSignIn, originOf } from "../../auth/browser";
import { requirePerson } from "../../auth/guard";
import { userResponse } from "../../auth/schema";
import type { Deps } from "../../deps";
import { dataOf, describe } from "../../http/describe";
import { etagOf, ifMatch } from "../../http/etag";
import { factory } from "../../http/factory";
import { fileBody, sendFile } from "../../http/file";
import { once } from "../../http/idempotency";
import { input } from "../../http/input";
import { takeUpload } from "../../products/images/upload";
import { readAvatarFile, removeAvatar, setAvatar } from "./avatar";
import { cancelEmailChange, confirmEmailChange, requestEmailChange } from "./email-change";
import { deleteMe } from "./erasure";
import { listExports, openExport, readExport, requestExport } from "./export";
import { changePreferencesSchema, preferencesAnswer, preferencesSchema } from "./preferences";
import {
  avatarParam,
  changeMeSchema,
  changeSettingsSchema,
  confirmEmailChangeSchema,
  confirmedEmailChangeAnswer,
  deleteMeSchema,
  exportAnswer,
  exportListAnswer,
  exportParam,
  pendingEmailChangeAnswer,
  requestEmailChangeSchema,
  settingsAnswer,
} from "./schema";
import {
  changeMe,
  changePreferences,
  changeSettings,
  readMe,
  readPreferences,
  readSettings,
  replacePreferences,
} from "./service";

const tag = "Users";

/** /api/users/me: what a person sees and changes of their own account. */
export const meRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/",
      describe({ summary: "Read your account", tag, response: dataOf(userResponse), secured: true }),
      requirePerson(deps),
      async (c) => {
        const { data, version } = await readMe(deps, c.get("actor"));
        c.header("ETag", etagOf(version));
        return c.json({ data }, 200);
      },
    )
    .patch(
      "/",
      describe({
        summary: "Change your name",
        tag,
        response: dataOf(userResponse),
        secured: true,
        errors: ["forbidden", "precondition_failed"],
      }),
      requirePerson(deps),
      input("json", changeMeSchema),
      async (c) => {
        const change = c.req.valid("json");
        const { data, version } = await changeMe(deps, c.get("actor"), change, ifMatch(c), originOf(deps, c));
        c.header("ETag", etagOf(version));
        return c.json({ data }, 200);
      },
    )
    .delete(
      "/",
      describe({
        summary: "Delete your account",
        description:
          "Every token is refused at once. A job erases what is known of you in both databases and frees the address.",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "invalid_credentials", "invalid_code", "conflict", "too_many_requests"],
      }),
      requirePerson(deps),
      input("json", deleteMeSchema),
      async (c) => {
        await deleteMe(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        clearSignIn(deps, c);
        return c.body(null, 204);
      },
    )
    .get(
      "/preferences",
      describe({ summary: "Read your preferences", tag, response: preferencesAnswer, secured: true }),
      requirePerson(deps),
      async (c) => {
        const data = await readPreferences(deps, c.get("actor"));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 200);
      },
    )
    .put(
      "/preferences",
      describe({
        summary: "Replace your preferences; If-Match is needed",
        description: "What is left out takes its default again.",
        tag,
        response: preferencesAnswer,
        secured: true,
        errors: ["forbidden", "precondition_failed", "precondition_required"],
      }),
      requirePerson(deps),
      input("json", preferencesSchema),
      async (c) => {
        const chosen = c.req.valid("json");
        const version = ifMatch(c, true);
        const data = await replacePreferences(deps, c.get("actor"), chosen, version, originOf(deps, c));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 200);
      },
    )
    .patch(
      "/preferences",
      describe({
        summary: "Change some of your preferences",
        description: "null takes a choice back to its default.",
        tag,
        response: preferencesAnswer,
        secured: true,
        errors: ["forbidden", "precondition_failed"],
      }),
      requirePerson(deps),
      input("json", changePreferencesSchema),
      async (c) => {
        const chosen = c.req.valid("json");
        const data = await changePreferences(deps, c.get("actor"), chosen, ifMatch(c), originOf(deps, c));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 200);
      },
    )
    .get(
      "/settings",
      describe({ summary: "Read your settings", tag, response: settingsAnswer, secured: true }),
      requirePerson(deps),
      async (c) => {
        const data = await readSettings(deps, c.get("actor"));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 200);
      },
    )
    .patch(
      "/settings",
      describe({
        summary: "Choose which mails you want",
        description: "Mails about a changed password, address or second factor always come.",
        tag,
        response: settingsAnswer,
        secured: true,
        errors: ["forbidden", "precondition_failed"],
      }),
      requirePerson(deps),
      input("json", changeSettingsSchema),
      async (c) => {
        const change = c.req.valid("json");
        const data = await changeSettings(deps, c.get("actor"), change, ifMatch(c), originOf(deps, c));
        c.header("ETag", etagOf(data.version));
        return c.json({ data }, 200);
      },
    )
    .post(
      "/settings/email-change",
      describe({
        summary: "Ask for another address",
        description:
          "Both addresses get a link, and both must be followed. Takes no Idempotency-Key, because the body holds a password: asking again replaces the change.",
        tag,
        response: pendingEmailChangeAnswer,
        status: 202,
        secured: true,
        errors: ["forbidden", "invalid_credentials", "invalid_code", "too_many_requests"],
      }),
      requirePerson(deps),
      input("json", requestEmailChangeSchema),
      async (c) => {
        const data = await requestEmailChange(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        return c.json({ data }, 202);
      },
    )
    .delete(
      "/settings/email-change",
      describe({
        summary: "Take back the change of your address",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requirePerson(deps),
      async (c) => {
        await cancelEmailChange(deps, c.get("actor"), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .post(
      "/settings/email-change/confirm",
      describe({
        summary: "Confirm a change of address with a mailed link",
        tag,
        response: confirmedEmailChangeAnswer,
        errors: ["invalid_code", "already_exists", "too_many_requests"],
      }),
      input("json", confirmEmailChangeSchema),
      async (c) => {
        const data = await confirmEmailChange(deps, c.req.valid("json"), originOf(deps, c));
        return c.json({ data }, 200);
      },
    )
    .put(
      "/avatar",
      describe({
        summary: "Set your picture",
        description:
          "multipart/form-data with the field file (JPEG, PNG, WebP or AVIF; 10 MB, 40 megapixels). Its metadata is dropped.",
        tag,
        response: dataOf(userResponse),
        secured: true,
        errors: [
          "forbidden",
          "request_timeout",
          "precondition_failed",
          "payload_too_large",
          "unsupported_media_type",
          "too_many_requests",
          "service_unavailable",
        ],
      }),
      requirePerson(deps),
      (c) =>
        takeUpload(c, false, async ({ bytes }) => {
          const { data, version } = await setAvatar(
            deps,
            c.get("actor"),
            bytes,
            ifMatch(c),
            originOf(deps, c),
          );
          c.header("ETag", etagOf(version));
          return c.json({ data }, 200);
        }),
    )
    .delete(
      "/avatar",
      describe({
        summary: "Remove your picture",
        tag,
        status: 204,
        secured: true,
        errors: ["forbidden", "precondition_failed"],
      }),
      requirePerson(deps),
      async (c) => {
        await removeAvatar(deps, c.get("actor"), ifMatch(c), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .post(
      "/export",
      describe({
        summary: "Ask for an archive of your data",
        description: "A job makes it; ask for its state, or wait for the mail.",
        tag,
        response: exportAnswer,
        status: 202,
        secured: true,
        errors: ["forbidden", "conflict", "too_many_requests", "idempotency_key_reused"],
      }),
      requirePerson(deps),
      (c) =>
        once(c, deps, deps.idempotency.mysql, 202, (record) =>
          requestExport(deps, c.get("actor"), originOf(deps, c), record),
        ),
    )
    .get(
      "/export",
      describe({
        summary: "List the archives of your data, the newest first",
        tag,
        response: exportListAnswer,
        secured: true,
        errors: ["forbidden"],
      }),
      requirePerson(deps),
      async (c) => c.json({ data: await listExports(deps, c.get("actor")) }, 200),
    )
    .get(
      "/export/:id",
      describe({
        summary: "Read the state of an archive",
        tag,
        response: exportAnswer,
        secured: true,
        errors: ["forbidden", "not_found"],
      }),
      requirePerson(deps),
      input("param", exportParam),
      async (c) => c.json({ data: await readExport(deps, c.get("actor"), c.req.valid("param").id) }, 200),
    )
    .get(
      "/export/:id/download",
      describe({
        summary: "Fetch an archive",
        description: "A zip file of JSON and NDJSON.",
        tag,
        secured: true,
        errors: ["forbidden", "not_found", "conflict", "gone"],
      }),
      requirePerson(deps),
      input("param", exportParam),
      async (c) => {
        const { id } = c.req.valid("param");
        const { file, name } = await openExport(deps, c.get("actor"), id, originOf(deps, c));
        const content = await fileBody(c, file);
        c.header("Cache-Control", "no-store");
        c.header("Content-Type", "application/zip");
        c.header("Content-Disposition", `attachment; filename="${name}"`);
        return c.body(content, 200);
      },
    );

/** /api/users/avatars: the pictures' files, for whoever was given their address. */
export const avatarRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/:id/:file",
      describe({ summary: "Get a person's picture", tag, errors: ["not_found"] }),
      input("param", avatarParam),
      (c) => {
        const { id, file } = c.req.valid("param");
        // Kept by browsers alone and not for long: a picture that its owner removes should be gone.
        const answer = { name: `${id}-${file}`, type: "image/webp", cache: "private, max-age=3600" };
        return sendFile(c, answer, (known) => readAvatarFile(deps, id, file, known));
      },
    );
