import { useState } from 'preact/hooks';
import type { StatusView } from '../../../projections/status.ts';
import { bytesText } from '../../../projections/status-text.ts';
import { bodyOf, type Order, ordersFor, type Reply, send } from './orders.ts';
import { Badge, Choice } from './parts.tsx';
import { currentState, usePage } from './store.ts';

/** Where an order stands: being written, tried without effect, carried out. */
type Step =
  | { readonly at: 'written' }
  | { readonly at: 'asked' }
  | { readonly at: 'previewed'; readonly reply: Reply }
  | { readonly at: 'done'; readonly reply: Reply }
  | { readonly at: 'failed'; readonly problem: string };

/** Commands about one resource: first a dry run that says what would follow, then the command itself. */
export function Commands({ status }: { status: StatusView }) {
  const { operator, past } = usePage();
  return (
    <section aria-labelledby="commands">
      <h2 id="commands">Commands</h2>
      {past !== null ? (
        <p>Nothing can be ordered in the past: go back to now first.</p>
      ) : operator === null ? (
        <p>This page is read-only: to give commands, sign in as operator (above).</p>
      ) : (
        <CommandForm status={status} />
      )}
    </section>
  );
}

function CommandForm({ status }: { status: StatusView }) {
  const orders = ordersFor(status);
  const [label, setLabel] = useState('');
  const [wanted, setNode] = useState('');
  const [reason, setReason] = useState('');
  const [step, setStep] = useState<Step>({ at: 'written' });
  const order = orders.find((one) => one.label === label) ?? orders[0];
  if (order === undefined) return <p>There is nothing to order in this state.</p>;
  const nodes = order.argument?.nodes ?? [];
  const node = nodes.includes(wanted) ? wanted : (nodes[0] ?? '');
  const edit = (set: (value: string) => void) => (value: string) => {
    set(value);
    setStep({ at: 'written' });
  };
  const ask = async (more: Readonly<Record<string, unknown>>, then: (reply: Reply) => Step) => {
    setStep({ at: 'asked' });
    try {
      setStep(
        then(await send(order.command, { ...bodyOf(status.tag, order, node, reason.trim()), ...more })),
      );
    } catch (error) {
      setStep({ at: 'failed', problem: error instanceof Error ? error.message : String(error) });
    }
  };
  const preview = () => void ask({ dryRun: true }, (reply) => ({ at: 'previewed', reply }));
  return (
    <form
      class="command"
      onSubmit={(event) => {
        event.preventDefault();
        preview();
      }}
    >
      <div class="filters">
        <Choice
          label="Command"
          value={order.label}
          options={orders.map((one) => one.label)}
          set={edit(setLabel)}
        />
        {order.argument !== null && (
          <Choice
            label={argumentWords[order.argument.name]}
            value={node}
            options={nodes}
            set={edit(setNode)}
          />
        )}
        <label class="reason">
          Reason, for the history
          <input
            value={reason}
            maxLength={1024}
            onInput={(event) => edit(setReason)(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="main" disabled={step.at === 'asked'}>
          Preview
        </button>
      </div>
      <div aria-live="polite">
        {step.at === 'asked' && <p>Asking …</p>}
        {step.at === 'failed' && <p role="alert">{step.problem}</p>}
        {step.at === 'previewed' && (
          <Preview
            key={step.reply.commandId}
            order={order}
            tag={status.tag}
            reply={step.reply}
            carryOut={(token) =>
              void ask(token === undefined ? {} : { acceptLoss: token }, (reply) => ({ at: 'done', reply }))
            }
          />
        )}
        {step.at === 'done' && <Outcome order={order} reply={step.reply} />}
      </div>
    </form>
  );
}

const argumentWords = { node: 'Node', target: 'Target', victim: 'Victim' } as const;

/** What has to be typed before anything is destroyed: it names how much. */
const phraseFor = (tag: string, bytes: number | null): string =>
  bytes === null || bytes === 0 ? `lose data of ${tag}` : `lose ${bytesText(bytes)} of ${tag}`;

interface PreviewProps {
  readonly order: Order;
  readonly tag: string;
  readonly reply: Reply;
  readonly carryOut: (token: string | undefined) => void;
}

function Preview({ order, tag, reply, carryOut }: PreviewProps) {
  const [typed, setTyped] = useState('');
  const { loss, token, plan = [], events, decider } = reply;
  if (!reply.ok && loss === undefined) return <Refused reply={reply} />;
  const phrase = loss === undefined ? null : phraseFor(tag, loss.bytes);
  return (
    <div class="preview">
      <h3>If you carry it out ({decider} decides)</h3>
      {events.length > 0 && (
        <>
          <p>this follows first:</p>
          <ul class="plain">
            {events.map((event, index) => (
              <li key={`${index}-${event}`}>{event}</li>
            ))}
          </ul>
        </>
      )}
      {plan.length === 0 ? (
        <p>Nothing is resynced.</p>
      ) : (
        <ul class="plain">
          {plan.map(({ source, target, kind, bytes }) => (
            <li key={`${source}-${target}`}>
              {kind} resync of {target} from {source}
              {bytes === null ? '' : `, ${bytesText(bytes)}`}
            </li>
          ))}
        </ul>
      )}
      {loss === undefined || phrase === null ? (
        <p>
          <Badge tone="good">nothing is lost</Badge>
        </p>
      ) : (
        <div class="loss">
          <p>
            <Badge tone="bad">this would be lost</Badge> {loss.text}
          </p>
          <label>
            To accept that, type: <strong>{phrase}</strong>
            <input
              value={typed}
              autocomplete="off"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        </div>
      )}
      <button
        type="button"
        class={phrase === null ? 'main' : 'danger'}
        disabled={phrase !== null && typed.trim() !== phrase}
        onClick={() => carryOut(phrase === null ? undefined : token)}
      >
        Carry out: {order.label}
      </button>
    </div>
  );
}

function Refused({ reply: { refusal, message } }: { reply: Reply }) {
  return (
    <div class="preview" role="alert">
      <p>
        <Badge tone="bad">refused</Badge>{' '}
        {refusal === undefined ? message : `${refusal.message} (${refusal.code})`}
      </p>
      {refusal !== undefined && refusal.allowed.length > 0 && (
        <>
          <p>What would be allowed:</p>
          <ul class="plain">
            {refusal.allowed.map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ul>
        </>
      )}
      {refusal !== undefined && refusal.because.length > 0 && (
        <p class="soft">because of {refusal.because.join(', ')}</p>
      )}
    </div>
  );
}

function Outcome({ order, reply }: { order: Order; reply: Reply }) {
  if (!reply.ok) return <Refused reply={reply} />;
  return (
    <p role="status">
      <Badge tone="good">done</Badge> {order.label}, as operator {currentState().operator} ({reply.commandId})
    </p>
  );
}
