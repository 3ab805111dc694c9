import { Readable } from "node:stream";
import { ZipFile } from "yazl";
import { type PersonReader, personEvents, personVisits } from "../../analytics";
import { allApiKeys, factorStatus, listPasskeys } from "../../auth";
import type { JsonValue } from "../../lib/json";
import { deviceName } from "../../lib/user-agent";
import { toUserResponse } from "../mapper";
import { NOTICE_SETTINGS, toNotices } from "../notices";
import { PREFERENCES, toPreferences } from "../preferences";
import { readSetting } from "../settings";
import { avatarFolder } from "./avatar";
import type { AccountDeps } from "./deps";

/** Rows that are read, and held in memory, at once. */
const STEP = 500;

/** One file of the archive, made piece by piece: each `next` leads to the following piece, null ends. */
export interface Section {
  file: string;
  /** What is in it, in words. */
  what: string;
  read(cursor: JsonValue): Promise<{ content: string | Uint8Array; next: JsonValue }>;
}

const json = (file: string, what: string, read: () => Promise<unknown>): Section => ({
  file,
  what,
  read: async () => ({ content: `${JSON.stringify(await read(), null, 2)}\n`, next: null }),
});

/** Newline-delimited JSON: a line for each item. The reader is opened at the first piece, once a try. */
function ndjson(file: string, what: string, open: () => Promise<PersonReader<object>>): Section {
  let reader: Promise<PersonReader<object>> | undefined;
  return {
    file,
    what,
    async read(cursor) {
      reader ??= open();
      const { items, next } = await (await reader)(cursor, STEP);
      return { content: items.map((item) => `${JSON.stringify(item)}\n`).join(""), next };
    },
  };
}

const timeAndId = (cursor: JsonValue): { time: Date; id: string } | null =>
  Array.isArray(cursor) && cursor.length > 1
    ? { time: new Date(String(cursor[0])), id: String(cursor[1]) }
    : null;

/** A person's sign-ins, also ended ones, the newest first. */
const sessionReader =
  (deps: AccountDeps, userId: string): PersonReader<object> =>
  async (cursor, limit) => {
    const behind = timeAndId(cursor);
    const rows = await deps.sessions.list(userId, {
      state: "all",
      now: deps.clock.now(),
      since: new Date(0),
      limit,
      ...(behind ? { before: { createdAt: behind.time, id: behind.id } } : {}),
    });
    const last = rows.at(-1);
    return {
      items: rows.map((row) => ({
        id: row.id,
        device: deviceName(row.userAgent),
        userAgent: row.userAgent,
        ip: row.ip,
        method: row.method,
        createdAt: row.createdAt,
        lastUsedAt: row.lastUsedAt,
        endedAt: row.endedAt,
        endReason: row.endReason,
        endDetail: row.endDetail,
      })),
      next: last && rows.length === limit ? [last.createdAt.toISOString(), last.id] : null,
    };
  };

/**
 * The audit log about a person, then what they did to others. Of others it says nothing: where an
 * administrator acted from is the administrator's, and whom the person acted on is that one's.
 */
const auditReader =
  (deps: AccountDeps, userId: string): PersonReader<object> =>
  async (cursor, limit) => {
    const side = Array.isArray(cursor) && cursor[0] === "by" ? "by" : "about";
    const behind = timeAndId(Array.isArray(cursor) ? cursor.slice(1) : null);
    const rows = await deps.audit.ofPerson(userId, side, behind && { at: behind.time, id: behind.id }, limit);
    const last = rows.at(-1);
    return {
      items: rows.map((row) => {
        const own = row.actorId === userId || row.actorKind === "anonymous";
        return {
          at: row.at,
          action: row.action,
          by: row.actorId === userId ? "you" : row.actorKind,
          ip: own ? row.ip : null,
          userAgent: own ? row.userAgent : null,
          detail: side === "about" ? row.detail : {},
        };
      }),
      next:
        last && rows.length === limit
          ? [side, last.at.toISOString(), last.id]
          : side === "about"
            ? ["by"]
            : null,
    };
  };

/** Every file of a person's archive, in the order in which it is made. */
export function sectionsOf(deps: AccountDeps, userId: string, madeAt: Date): Section[] {
  const sections: Section[] = [
    json("account.json", "Your account", async () => {
      const user = await deps.users.findById(userId);
      const response = user && toUserResponse(user, await deps.roles.namesOf(userId));
      return { ...response, emailVerifiedAt: user?.emailVerifiedAt, updatedAt: user?.updatedAt };
    }),
    {
      file: "picture.webp",
      what: "Your picture, empty when there is none",
      async read() {
        const user = await deps.users.findById(userId);
        if (!user?.avatarId) return { content: "", next: null };
        const widths = Array.isArray(user.avatarWidths) ? user.avatarWidths : [];
        const stored = await deps.storage.get(`${avatarFolder(user.avatarId)}/${widths.at(-1)}.webp`);
        if (!stored) throw new Error(`the picture ${user.avatarId} is not there`);
        return { content: await new Response(stored.body).bytes(), next: null };
      },
    },
    json("preferences.json", "Your preferences", async () => {
      const { data, version } = await readSetting(deps, PREFERENCES, userId);
      return toPreferences(data, version, deps.config.defaultCurrency);
    }),
    json("consent.json", "When you gave or took back consent to marketing", async () => {
      const decisions = await deps.audit.consentOf(userId, 1000);
      const { marketing } = (await readSetting(deps, PREFERENCES, userId)).data;
      // A decision of before the history was kept is in the preferences alone.
      const first =
        decisions.length === 0 && marketing ? [{ at: marketing.decidedAt, email: marketing.email }] : [];
      return [...first, ...decisions];
    }),
    json("notices.json", "Which mails you want", async () =>
      toNotices((await readSetting(deps, NOTICE_SETTINGS, userId)).data),
    ),
    json("email-changes.json", "Changes of your address that were asked for", async () =>
      (await deps.emailChanges.ofUser(userId, 1000)).map((row) => ({
        newEmail: row.newEmail,
        requestedAt: row.requestedAt,
        requestedIp: row.requestedIp,
        endedAt: row.endedAt,
        endReason: row.endReason,
      })),
    ),
    json("api-keys.json", "Your API keys, revoked ones too, without their secrets", () =>
      allApiKeys(deps, userId),
    ),
    json("second-factors.json", "Your second factors and passkeys, without their secrets", async () => ({
      ...(await factorStatus(deps, userId)),
      passkeys: await listPasskeys(deps, userId),
    })),
    ndjson("sessions.ndjson", "Your sign-ins", async () => sessionReader(deps, userId)),
    ndjson("audit.ndjson", "What was done to your account, and by you", async () =>
      auditReader(deps, userId),
    ),
    ndjson("events.ndjson", "What you looked at and did in the shop", () => personEvents(deps, userId)),
    ndjson("visits.ndjson", "Your visits to the shop", () => personVisits(deps, userId)),
  ];
  const contents = json("contents.json", "This list", async () => ({
    userId,
    madeAt,
    files: Object.fromEntries(sections.map(({ file, what }) => [file, what])),
  }));
  return [contents, ...sections];
}

/**
 * A zip archive, byte by byte as it is read. Only what one file's stream gives at once lies in memory.
 * @param files opened one after the other, when their turn comes
 */
export async function* zipOf(
  files: { name: string; read(): AsyncIterable<Uint8Array> }[],
  mtime: Date,
): AsyncGenerator<Uint8Array> {
  const zip = new ZipFile();
  const output = zip.outputStream as Readable;
  let input: Readable | undefined;
  // The library hears no error of a stream that it is given.
  const fail = (error: Error) => output.destroy(error);
  zip.on("error", fail);
  for (const { name, read } of files) {
    zip.addReadStreamLazy(name, { mtime }, (give) => {
      input = Readable.from(read(), { objectMode: false }).on("error", fail);
      give(null, input);
    });
  }
  zip.end();
  try {
    for await (const piece of output) yield piece as Uint8Array;
  } finally {
    input?.destroy();
  }
}
