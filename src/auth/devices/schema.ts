import { z } from "zod";
import { dataOf, pageOf } from "../../http/envelopes";

export const listDevicesSchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string().max(1000).optional(),
});

const deviceResponse = z.object({
  id: z.string(),
  device: z.string().meta({ example: "Firefox on Linux" }),
  /** Of its last sign-in, as is the address. */
  userAgent: z.string(),
  ip: z.string(),
  /** The device of this session. */
  current: z.boolean(),
  createdAt: z.string(),
  lastUsedAt: z.string(),
  /** When it is forgotten by itself, unless somebody signs in on it before. */
  expiresAt: z.string(),
});
export type DeviceResponse = z.infer<typeof deviceResponse>;
export const devicesAnswer = pageOf(deviceResponse);
export const forgottenAnswer = dataOf(z.object({ forgotten: z.number().int() }));
