import { ago } from "aizy-backend/format";
import { useState } from "react";
import { Field, Form, Link } from "./parts";
import { go, shop, useLoaded, useUser } from "./shop";

export function Register() {
  const [begun, setBegun] = useState<{ id: string; email: string }>();
  if (!begun)
    return (
      <>
        <h1>Register</h1>
        <Form
          label="Send me a code"
          run={async ({ name = "", email = "", password = "" }) => {
            const { data } = await shop.auth.register.$post({ json: { name, email, password } });
            setBegun({ id: data.registrationId, email });
          }}
        >
          <Field name="name" label="Name" autoComplete="name" />
          <Field name="email" label="Mail address" type="email" autoComplete="email" />
          <Field name="password" label="Password" type="password" autoComplete="new-password" />
        </Form>
      </>
    );
  return (
    <>
      <h1>Look into your mail</h1>
      <Form
        label="Confirm"
        run={async ({ otp = "" }) => {
          await shop.auth["verify-otp"].$post({
            json: { registrationId: begun.id, email: begun.email, otp },
          });
          go("/sign-in");
        }}
      >
        <Field name="otp" label="Code" autoComplete="one-time-code" />
      </Form>
    </>
  );
}

export function SignIn() {
  const [challenge, setChallenge] = useState<string>();
  return (
    <>
      <h1>Sign in</h1>
      {challenge === undefined ? (
        <Form
          key="password"
          label="Sign in"
          run={async ({ email = "", password = "" }) => {
            const answer = await shop.auth.login.$post({ json: { email, password } });
            if (answer.status === 202) setChallenge(answer.data.challenge);
            else go("/account");
          }}
        >
          <Field name="email" label="Mail address" type="email" autoComplete="email" />
          <Field name="password" label="Password" type="password" autoComplete="current-password" />
        </Form>
      ) : (
        <Form
          key="code"
          label="Go on"
          run={async ({ code = "" }) => {
            await shop.auth.mfa.challenge.$post({ json: { challenge, method: "totp", code } });
            go("/account");
          }}
        >
          <Field name="code" label="Code of your app" autoComplete="one-time-code" />
        </Form>
      )}
      <Link href="/register">Register</Link>
    </>
  );
}

function Sessions() {
  const [round, setRound] = useState(0);
  const { value = [] } = useLoaded(
    `sessions ${round}`,
    async (signal) => (await shop.auth.sessions.$get({}, { signal })).data,
  );
  return (
    <section>
      <h2>Where you are signed in</h2>
      <ul>
        {value.map((one) => (
          <li key={one.id}>
            {one.device}, {ago(one.lastUsedAt)}{" "}
            {one.current ? (
              <strong>here</strong>
            ) : (
              <button
                type="button"
                onClick={async () => {
                  await shop.auth.sessions[":id"].$delete({ param: { id: one.id } });
                  setRound((before) => before + 1);
                }}
              >
                End
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Account() {
  const user = useUser();
  const [round, setRound] = useState(0);
  const [share, setShare] = useState<number>();
  const { value: me } = useLoaded(`me ${user?.id} ${round}`, async (signal) =>
    user ? (await shop.api.users.me.$get({}, { signal })).data : undefined,
  );
  if (user === undefined) return <p>One moment.</p>;
  if (user === null)
    return (
      <p>
        You are signed out. <Link href="/sign-in">Sign in</Link>
      </p>
    );
  const picture = me?.avatar?.sources[0];
  return (
    <>
      <h1>Your account</h1>
      {me ? (
        <section key={me.id}>
          <h2>You</h2>
          {picture ? (
            <img className="avatar" alt="You" src={shop.url(picture.url)} width={96} height={96} />
          ) : null}
          <Form
            label="Save"
            run={async ({ name = "" }) => {
              await shop.api.users.me.$patch({ json: { name } }, { ifMatch: me });
              setRound((before) => before + 1);
            }}
          >
            <Field name="name" label="Name" defaultValue={me.name} autoComplete="name" />
          </Form>
          <label>
            Picture
            <input
              type="file"
              accept="image/*"
              onChange={async ({ target }) => {
                const [file] = target.files ?? [];
                if (!file) return;
                await shop.api.users.me.avatar.$put(
                  { form: { file } },
                  { onProgress: ({ loaded, total }) => setShare(loaded / total) },
                );
                setShare(undefined);
                setRound((before) => before + 1);
              }}
            />
          </label>
          {share === undefined ? null : <progress aria-label="Sent" value={share} />}
        </section>
      ) : null}
      <Sessions />
      <button
        type="button"
        onClick={async () => {
          await shop.auth.logout.$post();
          go("/");
        }}
      >
        Sign out
      </button>
    </>
  );
}
