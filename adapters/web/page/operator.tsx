import { useRef, useState } from 'preact/hooks';
import { getJson, type PageState, update } from './store.ts';

/** Of this tab alone, and gone with it. */
const tokenKey = 'operator-token';

export const authorization = (): Readonly<Record<string, string>> => {
  const token = sessionStorage.getItem(tokenKey);
  return token === null ? {} : { authorization: `Bearer ${token}` };
};

/** Asks the agent whose token it is. Errors: a sentence. */
export async function signIn(token: string): Promise<void> {
  const { name } = await getJson<{ name: string }>('/api/operator', { authorization: `Bearer ${token}` });
  sessionStorage.setItem(tokenKey, token);
  update({ operator: name });
}

export function signOut(): void {
  sessionStorage.removeItem(tokenKey);
  update({ operator: null });
}

/** With the token of an address `#operator=TOKEN`, which then disappears from it, or with the one this tab has. */
export function signInAgain(): void {
  const inAddress = /^#operator=(.+)$/.exec(location.hash)?.[1];
  if (inAddress !== undefined) history.replaceState(null, '', '#/');
  const token = inAddress ?? sessionStorage.getItem(tokenKey);
  if (token !== null) signIn(token).catch(signOut);
}

export function OperatorButton({ operator }: { operator: PageState['operator'] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    signIn(token.trim()).then(
      () => {
        setToken('');
        setProblem('');
        dialog.current?.close();
      },
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
  };
  if (operator !== null)
    return (
      <span class="operator">
        operator {operator}{' '}
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      </span>
    );
  return (
    <span class="operator">
      <button type="button" onClick={() => dialog.current?.showModal()}>
        Read-only: sign in
      </button>
      <dialog ref={dialog} aria-labelledby="sign-in">
        <form onSubmit={submit}>
          <h2 id="sign-in">Sign in as operator</h2>
          <p>
            Commands need an operator's token: one of the file that the agent was started with (--operators).
          </p>
          <label class="token">
            Token
            <input
              type="password"
              autocomplete="off"
              required
              value={token}
              onInput={(event) => setToken(event.currentTarget.value)}
            />
          </label>
          {problem !== '' && <p role="alert">{problem}</p>}
          <p class="buttons">
            <button type="submit" class="main">
              Sign in
            </button>
            <button type="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
          </p>
        </form>
      </dialog>
    </span>
  );
}
