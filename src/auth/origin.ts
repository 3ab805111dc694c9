/** Where a request came from, for the list of sessions. */
export interface Origin {
  ip: string;
  userAgent: string;
  /** What earlier sign-ins on this device were given: a browser keeps one for each person. */
  deviceTokens?: string[];
}
