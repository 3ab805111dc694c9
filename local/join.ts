/** Databases for a process that runs by itself, such as a test worker. */
export async function joinDatabases(): Promise<Record<string, string>> {
  return {};
}
