/** The face of people: their rows, settings and names for others. What a person or an administrator does through routes is not part of it. */
export type { UserDeps } from "./deps";
export { toUserResponse, type UserResponse } from "./mapper";
export { wantsNotice } from "./notices";
export { type OwnerJson, ownerOf } from "./owner";
export { OWNER } from "./owner.store";
export { readerOf } from "./reader";
export type { UserRow } from "./store";
