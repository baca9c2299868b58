import { expect, it } from 'vitest';
import { startEchoTarget } from './echo-target.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { key, message } from './session-pair.ts';

it('a frozen process is noticed, and what it answers when it goes on is refused (FAULTS 27)', async () => {
  const { child, ports } = await startEchoTarget();
  const adam = new NodeUnderTest('adam', { key });
  const toEve = adam.link('eve');
  const answers: number[] = [];
  toEve.onReceived = ({ number }) => answers.push(number);
  try {
    toEve.link.dialTo([{ host: '127.0.0.1', port: ports.link }]);
    toEve.link.open();
    await toEve.until(() => toEve.link.established);
    toEve.link.send(message({ number: 1 }));
    await toEve.until(() => answers.length === 1);

    child.kill('SIGSTOP');
    toEve.link.send(message({ number: 2 }));
    await toEve.until(() => toEve.faults.length > 0);
    expect(toEve.faults).toEqual(['timed-out']);
    await toEve.until(() => toEve.refusals.length > 0);
    expect(toEve.refusals[0]).toBe('timed-out');

    child.kill('SIGCONT');
    await toEve.until(() => toEve.link.established);
    toEve.link.send(message({ number: 3 }));
    await toEve.until(() => answers.includes(3));
    expect(answers).toEqual([1, 3]);
    expect(toEve.sessions.length).toBe(2);
  } finally {
    adam.close();
    child.kill('SIGKILL');
  }
});
