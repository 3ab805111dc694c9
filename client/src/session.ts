import { type ApiError, errorOf } from "./errors.js";
import type { User } from "./models.js";
import { openTabs } from "./tabs.js";

/** Why somebody is signed out: they did it, here or in another tab, or the session is over. */
export type SignedOutReason = "signed_out" | "ended";

/**
 * Where an app keeps what its sign-in lasts by: a keychain or secure storage, never a page's local storage. Pages need
 * none, because their browser keeps it in a cookie that no script can read.
 */
export interface SecretStorage {
  read(): Promise<string | null> | string | null;
  /** `null` removes it. */
  write(secret: string | null): Promise<void> | void;
}

/** What a sign-in answers with. */
export interface Tokens {
  accessToken: string;
  expiresIn: number;
  refreshToken?: string | undefined;
  deviceToken?: string | undefined;
  secondFactorRequired?: true | undefined;
  user: User;
}

interface Live {
  token: string;
  /** By this machine's clock, in milliseconds. */
  until: number;
  user: User;
  secondFactorRequired: boolean;
}

/** What a native app keeps. */
export interface Kept {
  refreshToken?: string | undefined;
  deviceToken?: string | undefined;
}

/** A token is renewed so long before it ends, in milliseconds: a request takes time to arrive. */
const MARGIN = 30_000;

/** The part of a session that a frontend sees. */
export interface Session {
  /** Who is signed in, as far as this page knows; `undefined` until it was asked, `null` for nobody. */
  readonly user: User | null | undefined;
  /** A role demands a second factor that is not set up yet: everything but setting it up is refused. */
  readonly secondFactorRequired: boolean;
  /** Finds out who is signed in, when a page starts. @returns null for nobody */
  restore(): Promise<User | null>;
  /** A token that is good for a while yet, renewed if need be; undefined when nobody is signed in. */
  getAccessToken(): Promise<string | undefined>;
  /** Called when somebody signs in, here or in another tab, or was found to be. @returns what stops it */
  onSignedIn(listener: (user: User) => void): () => void;
  /** Called when nobody is signed in any more. @returns what stops it */
  onSignedOut(listener: (reason: SignedOutReason) => void): () => void;
  /** Called when either happens, for `useSyncExternalStore` and its like. @returns what stops it */
  subscribe(listener: () => void): () => void;
}

export interface SessionParts {
  /** The address of the API. */
  url: string;
  storage: SecretStorage | undefined;
  /** Whoever calls was signed in most likely: calls ask for a token at once. */
  eager: boolean;
  /** Exchanges the refresh token. */
  refresh(kept: Kept): Promise<Response>;
}

const isFresh = (live: Live | null | undefined): live is Live =>
  live != null && live.until - MARGIN > Date.now();

/** Keeps the access token in memory and renews it, once for all calls and tabs. */
export class SessionKeeper implements Session {
  /** undefined: not known yet; null: nobody. */
  #live: Live | null | undefined;
  /** Counts sign-ins and sign-outs: what was asked before one says nothing after it. */
  #epoch = 0;
  #renewing: Promise<boolean> | undefined;
  /** Ends once other tabs can see what this one has. */
  #shown: Promise<unknown> | undefined;
  readonly #signedIn = new Set<(user: User) => void>();
  readonly #signedOut = new Set<(reason: SignedOutReason) => void>();
  readonly #parts: SessionParts;
  readonly #tabs;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#tabs = openTabs<Live>(`aizy ${parts.url}`, (message) => {
      if (message.kind === "session") this.#take(message.session, message.began);
      else if (message.kind === "ended") this.#drop(message.reason as SignedOutReason);
      else if (isFresh(this.#live)) this.#tabs.tell({ kind: "session", session: this.#live, began: false });
    });
  }

  get user(): User | null | undefined {
    return this.#live?.user ?? (this.#live as null | undefined);
  }

  get secondFactorRequired(): boolean {
    return this.#live?.secondFactorRequired ?? false;
  }

  /** The token as it is, also one whose time is over. */
  get token(): string | undefined {
    return this.#live?.token;
  }

  async restore(): Promise<User | null> {
    await this.getAccessToken();
    return this.user ?? null;
  }

  async getAccessToken(): Promise<string | undefined> {
    if (this.#live !== null && !isFresh(this.#live)) await this.renew();
    return this.#live?.token;
  }

  /** For a call: nothing is asked on behalf of whoever may be a guest. */
  async tokenForCall(): Promise<string | undefined> {
    return this.#live === undefined && !this.#parts.eager ? undefined : this.getAccessToken();
  }

  onSignedIn(listener: (user: User) => void): () => void {
    this.#signedIn.add(listener);
    return () => this.#signedIn.delete(listener);
  }

  onSignedOut(listener: (reason: SignedOutReason) => void): () => void {
    this.#signedOut.add(listener);
    return () => this.#signedOut.delete(listener);
  }

  subscribe(listener: () => void): () => void {
    const off = [this.onSignedIn(listener), this.onSignedOut(listener)];
    return () => {
      for (const stop of off) stop();
    };
  }

  /**
   * Exchanges the refresh token, once however many ask at the same time.
   * @param stale a token that the server refused
   * @returns false when nobody is signed in
   * @throws ApiError when it could not be found out: whoever is signed in stays it
   */
  renew(stale?: string): Promise<boolean> {
    if (this.#live === null) return Promise.resolve(false);
    if (this.#live && this.#live.token !== stale && isFresh(this.#live)) return Promise.resolve(true);
    this.#renewing ??= this.#tabs
      .alone(() => this.#exchange(stale))
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing;
  }

  async #exchange(stale: string | undefined): Promise<boolean> {
    const arrived = () => isFresh(this.#live) && this.#live.token !== stale;
    // One that ends sooner than this tab's own would be refused as well.
    if (!arrived()) await this.#tabs.ask(arrived, Math.max(this.#live?.until ?? 0, Date.now() + MARGIN));
    if (this.#live === null) return false;
    if (arrived()) return true;
    const epoch = this.#epoch;
    const kept = await this.kept();
    if (this.#parts.storage && kept.refreshToken === undefined) return this.#over(epoch);
    const answer = await this.#parts.refresh(kept);
    if (answer.ok) {
      const { data } = (await answer.json()) as { data: Tokens };
      if (this.#epoch !== epoch) return this.#live != null;
      await this.accept(data, this.#live === undefined ? "found" : "renewed");
      return true;
    }
    const error: ApiError = await errorOf(answer);
    if (!error.is("unauthenticated")) throw error;
    return this.#over(epoch);
  }

  async #over(epoch: number): Promise<boolean> {
    if (this.#epoch === epoch) await this.end("ended");
    return this.#live != null;
  }

  /** Runs what changes who is signed in, while no refresh is under way in any tab. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#tabs.alone(work);
  }

  /** What a native app kept of its sign-in. */
  async kept(): Promise<Kept> {
    const text = (await this.#parts.storage?.read()) ?? "{}";
    try {
      return JSON.parse(text) as Kept;
    } catch {
      // Nothing of ours, or half of it: as good as nothing.
      return {};
    }
  }

  /** Takes over what a sign-in or a refresh gave. The secret is kept before the new token is first used. */
  async accept(tokens: Tokens, how: "signed in" | "found" | "renewed"): Promise<void> {
    const { storage } = this.#parts;
    if (storage && tokens.refreshToken !== undefined) {
      const { deviceToken = tokens.deviceToken } = how === "signed in" ? tokens : await this.kept();
      await storage.write(JSON.stringify({ refreshToken: tokens.refreshToken, deviceToken }));
    }
    const live: Live = {
      token: tokens.accessToken,
      until: Date.now() + tokens.expiresIn * 1000,
      user: tokens.user,
      secondFactorRequired: tokens.secondFactorRequired ?? false,
    };
    const began = how === "signed in";
    this.#take(live, began);
    this.#tabs.tell({ kind: "session", session: live, began });
    // Whoever gets the lock next has to see it.
    await this.#shown;
  }

  /** Forgets who was signed in, here and in other tabs. A device stays a known one. */
  async end(reason: SignedOutReason): Promise<void> {
    const { storage } = this.#parts;
    if (storage) {
      const { deviceToken } = await this.kept();
      await storage.write(deviceToken === undefined ? null : JSON.stringify({ deviceToken }));
    }
    const known = this.#live != null;
    this.#drop(reason);
    if (known) this.#tabs.tell({ kind: "ended", reason });
  }

  #take(live: Live, began: boolean): void {
    const before = this.#live;
    // What another tab said before it heard of the sign-out.
    if (!began && before === null) return;
    // Of two answers to one refresh the later one counts.
    if (!began && before && before.user.id === live.user.id && before.until > live.until) return;
    this.#live = live;
    this.#shown = this.#tabs.show(live.until);
    const other = before?.user.id !== live.user.id;
    if (began || other) {
      this.#epoch++;
      for (const listener of this.#signedIn) listener(live.user);
    }
  }

  #drop(reason: SignedOutReason): void {
    const known = this.#live != null;
    this.#live = null;
    this.#shown = this.#tabs.show(0);
    this.#epoch++;
    if (known) for (const listener of this.#signedOut) listener(reason);
  }
}
