import { isbot } from "isbot";
import type { EventDocument } from "./model";

/** Whether a program sent it, by its user agent; who sends none is not called one. */
export const isBot = (userAgent: string | null): boolean => userAgent !== null && isbot(userAgent);

/** The visitor of an event before settling has looked around it. */
export const visitorOf = (event: Pick<EventDocument, "bot" | "device" | "userId">): string => {
  if (event.bot) return `b:${event.device ?? event.userId}`;
  return event.userId === null ? `d:${event.device}` : `u:${event.userId}`;
};
