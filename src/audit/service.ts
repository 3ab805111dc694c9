import type { Actor } from "../lib/actor";
import { nextPage, type Page, pageEnd, type Stretch } from "../lib/paging";
import type { AuditDeps } from "./deps";
import { toAuditEntry, toOwnAuditEntry } from "./mapper";
import type { AuditEntryResponse, AuditListQuery, OwnAuditEntryResponse, OwnAuditQuery } from "./schema";
import type { AuditRow, SeenEntry } from "./store";

/** One page of entries, with the cursor of the next. */
async function pageOf<Entry>(
  deps: AuditDeps,
  stretch: Stretch<SeenEntry>,
  query: { limit: number; cursor?: string | undefined },
  filter: (string | null)[],
  toEntry: (row: AuditRow) => Entry,
): Promise<Page<Entry>> {
  const from = query.cursor === undefined ? undefined : deps.cursors.decode(query.cursor, filter);
  const { rows, next } = await nextPage([stretch], { limit: query.limit, from });
  const entries = new Map((await deps.audit.byIds(rows.map(({ id }) => id))).map((row) => [row.id, row]));
  return {
    data: rows.flatMap(({ id }) => {
      const row = entries.get(id);
      return row ? [toEntry(row)] : [];
    }),
    page: pageEnd(deps, next, filter),
  };
}

/**
 * The log, the newest first, in the order of one index; see `nextPage` for pages that are short.
 * @throws AppError invalid_cursor
 */
export function listAudit(deps: AuditDeps, query: AuditListQuery): Promise<Page<AuditEntryResponse>> {
  const { action, actorId, subjectUserId, from, before } = query;
  const equals = [action, actorId, subjectUserId].filter((value) => value !== undefined);
  const times = [from?.toISOString() ?? null, before?.toISOString() ?? null];
  return pageOf(
    deps,
    // The index serves one of them.
    { filtered: equals.length > 1, walk: (after, limit) => deps.audit.walk(query, after, limit) },
    query,
    ["audit", action ?? null, actorId ?? null, subjectUserId ?? null, ...times],
    toAuditEntry,
  );
}

/** What the caller did and what was done to their account, the newest first. */
export function listOwnAudit(
  deps: AuditDeps,
  { userId }: Actor,
  query: OwnAuditQuery,
): Promise<Page<OwnAuditEntryResponse>> {
  const walk: Stretch<SeenEntry>["walk"] = async (after, limit) => {
    const [onThem, own] = await Promise.all([
      deps.audit.walk({ subjectUserId: userId }, after, limit),
      deps.audit.walk({ actorId: userId }, after, limit),
    ]);
    // What they did to themselves is in both.
    const all = new Map([...onThem, ...own].map((entry) => [entry.id, entry]));
    const order = (a: SeenEntry, b: SeenEntry) =>
      a.key === b.key ? (a.id < b.id ? 1 : -1) : a.key < b.key ? 1 : -1;
    return [...all.values()].sort(order).slice(0, limit);
  };
  return pageOf(deps, { filtered: false, walk }, query, ["own-audit", userId], (row) =>
    toOwnAuditEntry(row, userId),
  );
}
