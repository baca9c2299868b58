import { useState } from 'preact/hooks';
import type { Explanation } from '../../../projections/explain.ts';
import type { RefusalExplanation } from '../../../projections/explain-refusal.ts';
import { refusalText } from '../../../projections/explain-refusal-text.ts';
import { explainText } from '../../../projections/explain-text.ts';
import type { Scene } from './scene.ts';
import { getJson } from './store.ts';

interface Explained<E> {
  readonly ok: boolean;
  readonly explanation?: E;
  readonly refusal?: { readonly message: string };
}

/** Why the resource is in the state that is shown: the causal chain, who, when, and the policy of then. */
export function WhyState({ scene, tag, isPast }: { scene: Scene; tag: string; isPast: boolean }) {
  const last = scene.entries.at(-1)?.event;
  const asOf = isPast && last !== undefined ? { asOf: last } : {};
  const query = new URLSearchParams({ tag, ...asOf });
  return (
    <Why
      key={`${query}${scene.length}`}
      path={`/api/explain?${query}`}
      words="Why is it so?"
      text={explainText}
    />
  );
}

/** Why a command was refused: the rule, the facts that it used, and what would have let it pass. */
export function WhyRefused({ event }: { event: string }) {
  const query = new URLSearchParams({ refusal: event });
  return <Why path={`/api/explain-refusal?${query}`} words="Why?" inline text={refusalText} />;
}

interface WhyProps<E> {
  readonly path: string;
  readonly words: string;
  /** Among other words. */
  readonly inline?: boolean;
  readonly text: (explanation: E) => readonly string[];
}

function Why<E extends Explanation | RefusalExplanation>({ path, words, inline = false, text }: WhyProps<E>) {
  const [lines, setLines] = useState<readonly string[] | null>(null);
  const ask = () =>
    getJson<Explained<E>>(path).then(
      ({ explanation, refusal }) =>
        setLines(explanation === undefined ? [refusal?.message ?? 'nobody knows'] : text(explanation)),
      (error: unknown) => setLines([error instanceof Error ? error.message : String(error)]),
    );
  return (
    <div class="why" aria-live="polite">
      <button
        type="button"
        class={inline ? 'link' : undefined}
        aria-expanded={lines !== null}
        onClick={() => {
          if (lines === null) void ask();
          else setLines(null);
        }}
      >
        {words}
      </button>
      {lines !== null && <pre>{lines.join('\n')}</pre>}
    </div>
  );
}
