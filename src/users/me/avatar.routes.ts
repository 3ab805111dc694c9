import { endpoint, file } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { sendFile } from "../../http/file";
import { readAvatarFile } from "./avatar";
import type { AccountDeps } from "./deps";
import { tag } from "./routes";
import { avatarParam } from "./schema";

/** /api/users/avatars: the pictures' files, for whoever was given their address. */
export const avatarRoutes = (deps: AccountDeps) =>
  factory.createApp().get(
    "/:id/:file",
    endpoint(deps, {
      id: "readAvatar",
      summary: "Get a person's picture",
      tag,
      params: avatarParam,
      success: { 200: file("image/webp") },
      errors: ["not_found"],
      etag: true,
      // Kept by browsers alone and not for long: a picture that its owner removes should be gone.
      cache: "private, max-age=3600",
    }),
    (c) => {
      const { id, file: name } = c.req.valid("param");
      const answer = { name: `${id}-${name}`, type: "image/webp" };
      return sendFile(c, answer, (known) => readAvatarFile(deps, id, name, known));
    },
  );
