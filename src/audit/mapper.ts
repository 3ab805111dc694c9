import type { JsonValue } from "../lib/json";
import { deviceName } from "../lib/user-agent";
import type { AuditEntryResponse, OwnAuditEntryResponse } from "./schema";
import type { AuditRow } from "./store";

const detailOf = ({ detail }: AuditRow) => detail as Record<string, JsonValue>;

/** An entry as administrators see it. */
export const toAuditEntry = (row: AuditRow): AuditEntryResponse => ({
  id: row.id,
  at: row.at.toISOString(),
  action: row.action,
  actor: { kind: row.actorKind as AuditEntryResponse["actor"]["kind"], id: row.actorId },
  subjectUserId: row.subjectUserId,
  ip: row.ip,
  userAgent: row.userAgent,
  detail: detailOf(row),
});

function byWhom({ actorKind, actorId }: AuditRow, userId: string): OwnAuditEntryResponse["by"] {
  if (actorKind === "user" && actorId === userId) return "you";
  if (actorKind === "system") return "system";
  return actorKind === "anonymous" ? "unknown" : "administrator";
}

/**
 * An entry as the person sees whom it concerns. Who administers, and from where, is not theirs to see; where a
 * stranger tried from is: only so can they tell whether it was themselves.
 */
export function toOwnAuditEntry(row: AuditRow, userId: string): OwnAuditEntryResponse {
  const by = byWhom(row, userId);
  const shown = by !== "administrator";
  return {
    id: row.id,
    at: row.at.toISOString(),
    action: row.action,
    by,
    subjectUserId: row.subjectUserId,
    ip: shown ? row.ip : null,
    device: shown && row.userAgent !== null ? deviceName(row.userAgent) : null,
    detail: detailOf(row),
  };
}
