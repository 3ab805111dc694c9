import { z } from "zod";

/** An id of ours in a path, a query or a body; in capitals it is the same. */
export const idSchema = z.uuid("must be an id").toLowerCase();
