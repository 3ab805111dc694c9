/**
 * Waits for an answer, but not for longer than `limit` milliseconds. `work` itself goes on.
 * @param who is waited for, as its error names it
 * @throws what `work` does, or that it is late
 */
export async function within<T>(limit: number, who: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${who} did not answer within ${limit} ms`)), limit);
    timer.unref();
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
