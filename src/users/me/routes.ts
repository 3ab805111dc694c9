import { clearSignIn, originOf } from "../../auth";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { withEtag } from "../../http/preconditions";
import { pictureForm, takeUpload } from "../../media";
import { changePreferencesSchema, preferencesAnswer, preferencesSchema } from "../preferences";
import { changeMe, readMe } from "./account";
import { removeAvatar, setAvatar } from "./avatar";
import { confirmEmailChange } from "./confirm-email-change";
import type { AccountDeps } from "./deps";
import { cancelEmailChange, requestEmailChange } from "./email-change";
import { deleteMe } from "./erasure";
import { exportRoutes } from "./export.routes";
import { changePreferences, readPreferences, replacePreferences } from "./preferences";
import {
  changeMeSchema,
  changeSettingsSchema,
  confirmEmailChangeSchema,
  confirmedEmailChangeAnswer,
  deleteMeSchema,
  meAnswer,
  pendingEmailChangeAnswer,
  requestEmailChangeSchema,
  settingsAnswer,
} from "./schema";
import { changeSettings, readSettings } from "./settings";

export const tag = "Users";

/** /api/users/me: what a person sees and changes of their own account. */
export const meRoutes = (deps: AccountDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "readMe",
        summary: "Read your account",
        tag,
        caller: "person",
        success: { 200: meAnswer },
        etag: true,
      }),
      (c) => {
        const { data, version, rights } = readMe(c.get("actor"));
        return withEtag(c, data, version, rights);
      },
    )
    .patch(
      "/",
      endpoint(deps, {
        id: "changeMe",
        summary: "Change your name",
        tag,
        caller: "person",
        body: changeMeSchema,
        success: { 200: meAnswer },
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const change = c.req.valid("json");
        const { data, version, rights } = await changeMe(
          deps,
          c.get("actor"),
          change,
          c.get("expectedVersions"),
          originOf(deps, c),
        );
        return withEtag(c, data, version, rights);
      },
    )
    .delete(
      "/",
      endpoint(deps, {
        id: "deleteMe",
        summary: "Delete your account",
        description:
          "Every token is refused at once. A job erases what is known of you in both databases and frees the address.",
        tag,
        caller: "person",
        body: deleteMeSchema,
        success: { 204: null },
        errors: ["invalid_credentials", "invalid_code", "conflict", "too_many_requests"],
      }),
      async (c) => {
        await deleteMe(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        clearSignIn(deps, c);
        return c.body(null, 204);
      },
    )
    .get(
      "/preferences",
      endpoint(deps, {
        id: "readPreferences",
        summary: "Read your preferences",
        tag,
        caller: "person",
        success: { 200: preferencesAnswer },
        etag: true,
      }),
      async (c) => {
        const data = await readPreferences(deps, c.get("actor"));
        return withEtag(c, data, data.version);
      },
    )
    .put(
      "/preferences",
      endpoint(deps, {
        id: "replacePreferences",
        summary: "Replace your preferences; If-Match is needed",
        description: "What is left out takes its default again.",
        tag,
        caller: "person",
        body: preferencesSchema,
        success: { 200: preferencesAnswer },
        etag: true,
        ifMatch: "required",
      }),
      async (c) => {
        const chosen = c.req.valid("json");
        const version = c.get("expectedVersions");
        const data = await replacePreferences(deps, c.get("actor"), chosen, version, originOf(deps, c));
        return withEtag(c, data, data.version);
      },
    )
    .patch(
      "/preferences",
      endpoint(deps, {
        id: "changePreferences",
        summary: "Change some of your preferences",
        description: "null takes a choice back to its default.",
        tag,
        caller: "person",
        body: changePreferencesSchema,
        success: { 200: preferencesAnswer },
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const chosen = c.req.valid("json");
        const data = await changePreferences(
          deps,
          c.get("actor"),
          chosen,
          c.get("expectedVersions"),
          originOf(deps, c),
        );
        return withEtag(c, data, data.version);
      },
    )
    .get(
      "/settings",
      endpoint(deps, {
        id: "readSettings",
        summary: "Read your settings",
        tag,
        caller: "person",
        success: { 200: settingsAnswer },
        etag: true,
      }),
      async (c) => {
        const data = await readSettings(deps, c.get("actor"));
        return withEtag(c, data, data.version);
      },
    )
    .patch(
      "/settings",
      endpoint(deps, {
        id: "changeSettings",
        summary: "Choose which mails you want",
        description: "Mails about a changed password, address or second factor always come.",
        tag,
        caller: "person",
        body: changeSettingsSchema,
        success: { 200: settingsAnswer },
        etag: true,
        ifMatch: "optional",
      }),
      async (c) => {
        const change = c.req.valid("json");
        const data = await changeSettings(
          deps,
          c.get("actor"),
          change,
          c.get("expectedVersions"),
          originOf(deps, c),
        );
        return withEtag(c, data, data.version);
      },
    )
    .post(
      "/settings/email-change",
      endpoint(deps, {
        id: "requestEmailChange",
        summary: "Ask for another address",
        description:
          "Both addresses get a link, and both must be followed. With oldAddressLost a second factor stands in for the old one, which is told and can end the change for three days. Takes no Idempotency-Key, because the body holds a password: asking again replaces the change.",
        tag,
        caller: "person",
        body: requestEmailChangeSchema,
        success: { 202: pendingEmailChangeAnswer },
        errors: ["invalid_credentials", "invalid_code", "too_many_requests"],
      }),
      async (c) => {
        const data = await requestEmailChange(deps, c.get("actor"), c.req.valid("json"), originOf(deps, c));
        return c.json({ data }, 202);
      },
    )
    .delete(
      "/settings/email-change",
      endpoint(deps, {
        id: "cancelEmailChange",
        summary: "Take back the change of your address",
        tag,
        caller: "person",
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        await cancelEmailChange(deps, c.get("actor"), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .post(
      "/settings/email-change/confirm",
      endpoint(deps, {
        id: "confirmEmailChange",
        summary: "Confirm a change of address with a mailed link",
        tag,
        body: confirmEmailChangeSchema,
        success: { 200: confirmedEmailChangeAnswer },
        errors: ["invalid_code", "already_exists", "too_many_requests"],
      }),
      async (c) => {
        const data = await confirmEmailChange(deps, c.req.valid("json"), originOf(deps, c));
        return c.json({ data }, 200);
      },
    )
    .put(
      "/avatar",
      endpoint(deps, {
        id: "setAvatar",
        summary: "Set your picture",
        description:
          "multipart/form-data with the field file (JPEG, PNG, WebP or AVIF; 10 MB, 40 megapixels). Its metadata is dropped.",
        tag,
        caller: "person",
        body: pictureForm,
        success: { 200: meAnswer },
        errors: ["request_timeout", "too_many_requests"],
        etag: true,
        ifMatch: "optional",
      }),
      (c) =>
        takeUpload(c, pictureForm, async ({ bytes }) => {
          const { data, version, rights } = await setAvatar(
            deps,
            c.get("actor"),
            bytes,
            c.get("expectedVersions"),
            originOf(deps, c),
          );
          return withEtag(c, data, version, rights);
        }),
    )
    .delete(
      "/avatar",
      endpoint(deps, {
        id: "removeAvatar",
        summary: "Remove your picture",
        tag,
        caller: "person",
        success: { 204: null },
        ifMatch: "optional",
      }),
      async (c) => {
        await removeAvatar(deps, c.get("actor"), c.get("expectedVersions"), originOf(deps, c));
        return c.body(null, 204);
      },
    )
    .route("/export", exportRoutes(deps));
