import DataLoader from "dataloader";

/**
 * A look-up that joins what is asked for at the same moment: all keys that come in one turn of the event loop go to the
 * database together. Nothing is remembered: whoever asks afterwards is answered by a query that began afterwards.
 * @param load gets the keys, which may repeat, and gives a value for each in their order
 * @param most keys of one query
 * @example const find = together((ids: string[]) => store.findEach(ids), 100); await find(id);
 */
export function together<Key, Value>(
  load: (keys: readonly Key[]) => Promise<Value[]>,
  most: number,
): (key: Key) => Promise<Value> {
  const loader = new DataLoader<Key, Value>(load, {
    cache: false,
    maxBatchSize: most,
    batchScheduleFn: (run) => setImmediate(run),
  });
  return (key) => loader.load(key);
}

/**
 * A look-up of which one answer serves all who ask the same in one turn of the event loop; it begins after the last of
 * them has asked. Nobody may change what they are given.
 * @param ask gets what JSON can hold, which tells questions apart
 * @example const page = sameAtOnce((query: Query) => store.read(query)); await page(query);
 */
export function sameAtOnce<Question, Answer>(
  ask: (question: Question) => Promise<Answer>,
): (question: Question) => Promise<Answer> {
  const asked = new Map<string, Promise<Answer>>();
  return (question) => {
    const key = JSON.stringify(question);
    let answer = asked.get(key);
    if (!answer) {
      answer = new Promise((resolve) => {
        setImmediate(() => {
          asked.delete(key);
          resolve(ask(question));
        });
      });
      asked.set(key, answer);
    }
    return answer;
  };
}
