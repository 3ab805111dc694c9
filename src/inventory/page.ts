/** A condition on ids before a position, for lists with the newest first. */
export const olderThan = (before: string | undefined) =>
  before === undefined ? {} : { _id: { $lt: before } };
