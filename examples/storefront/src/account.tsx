import { useMutation, useQuery } from "@tanstack/react-query";
import { ago } from "aizy-backend/format";
import { changeOf, queryOf } from "aizy-backend/react";
import { useState } from "react";
import { Field, Form, Link } from "./parts";
import { go, shop, tell, useUser } from "./shop";

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
  const { data, refetch } = useQuery(queryOf(shop.auth.sessions.$get));
  const { mutate: end } = useMutation({
    ...changeOf(shop.auth.sessions[":id"].$delete),
    onSuccess: () => refetch(),
  });
  return (
    <section>
      <h2>Where you are signed in</h2>
      <ul className="lines">
        {data?.data.map((one) => (
          <li key={one.id}>
            <span>
              {one.device}, {ago(one.lastUsedAt)}
            </span>
            {one.current ? (
              <strong>here</strong>
            ) : (
              <button type="button" className="quiet" onClick={() => end({ param: { id: one.id } })}>
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
  const [share, setShare] = useState<number>();
  const { data, refetch } = useQuery({ ...queryOf(shop.api.users.me.$get), enabled: user != null });
  const upload = useMutation({
    ...changeOf(shop.api.users.me.avatar.$put),
    onSettled: () => setShare(undefined),
    onSuccess: () => refetch(),
  });
  const me = data?.data;
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
              await refetch();
            }}
          >
            <Field name="name" label="Name" defaultValue={me.name} autoComplete="name" />
          </Form>
          <label>
            Picture
            <input
              type="file"
              accept="image/*"
              onChange={({ target }) => {
                const [file] = target.files ?? [];
                if (file)
                  upload.mutate({
                    form: { file },
                    onProgress: ({ loaded, total }) => setShare(loaded / total),
                  });
              }}
            />
          </label>
          {share === undefined ? null : <progress aria-label="Sent" value={share} />}
          <p role="alert">{tell(upload.error)}</p>
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
