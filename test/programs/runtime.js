/**
 * What any runtime has to be able to do with the client: sign in, go through a list, change what was read, follow events,
 * sign out. Runs in browsers, their workers, Node and Bun; imports the package from beside it.
 */
import { createClient } from "./index.js";

/** @returns what was seen, as JSON takes it */
export async function tryClient(url, email, password, name) {
  const shop = createClient(url);
  const told = [];
  shop.session.onSignedIn((user) => told.push(user.email));
  shop.session.onSignedOut((reason) => told.push(reason));
  await shop.auth.login.$post({ json: { email, password } });
  const listed = [];
  for await (const product of shop.api.products.$list({ query: { sort: "name", limit: 2 } }))
    listed.push(product.name);
  const { data: me } = await shop.api.users.me.$get();
  const { data: changed } = await shop.api.users.me.$patch({ json: { name } }, { ifMatch: me });
  const { error } = await shop.api.users.me.$patch({ json: { name: "late" } }, { ifMatch: me }).result();
  const events = [];
  for await (const { event } of shop.api.analytics.live.$events()) {
    events.push(event);
    break;
  }
  await shop.auth.logout.$post();
  return { told, listed, name: changed.name, late: error?.code, events: events.length };
}

// Run by itself, where there are processes.
const words = globalThis.process?.argv.slice(2) ?? [];
if (words.length === 4) console.log(JSON.stringify(await tryClient(...words)));
