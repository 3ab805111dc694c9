/** The one thing that is taken from React: its own types are not needed for it, nor is React to build the client. */
declare module "react" {
  export function useSyncExternalStore<Snapshot>(
    subscribe: (changed: () => void) => () => void,
    read: () => Snapshot,
    readOnServer: () => Snapshot,
  ): Snapshot;
}
