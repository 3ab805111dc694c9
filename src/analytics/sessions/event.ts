import type { EventDocument } from "../model";
import type { EventResponse } from "./schema";

/** An event as the API shows it. */
export const toEvent = (event: EventDocument): EventResponse => ({
  id: event._id,
  type: event.type,
  name: event.name,
  at: event.at.toISOString(),
  clientAt: event.clientAt?.toISOString() ?? null,
  sentAt: event.sentAt?.toISOString() ?? null,
  receivedAt: event.receivedAt.toISOString(),
  timeFlags: event.timeFlags,
  anonymousId: event.device?.startsWith("~") ? null : event.device,
  userId: event.userId,
  bot: event.bot,
  origin: event.origin,
  address: event.address,
  userAgent: event.userAgent,
  page: event.page,
  source: event.source,
  properties: event.properties,
});
