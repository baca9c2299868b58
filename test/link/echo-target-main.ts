import { createServer } from 'node:net';
import { headerBytes } from '../../adapters/link/frame-codec.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { key, message, timings } from './session-pair.ts';

/*
 * A process that answers every message of adam's link with an urgent one, and on another port every frame of a bare
 * stream (its length comes first) with 64 bytes. Prints its ports.
 */
const eve = new NodeUnderTest('eve', { key, timings });
const link = await eve.listen();
const toAdam = eve.link('adam');
toAdam.keepsPayloads = false;
toAdam.onReceived = (received) => {
  toAdam.link.send(message({ type: 129, number: received.number }));
  received.release();
};
toAdam.link.open();

const answer = Buffer.alloc(headerBytes);
const bare = createServer({ noDelay: true }, (socket) => {
  let frameBytes = 0;
  let seen = 0;
  socket.on('data', (bytes) => {
    const isFirst = frameBytes === 0;
    if (isFirst) frameBytes = bytes.readUInt32BE(0);
    seen += isFirst ? bytes.length - 4 : bytes.length;
    socket.cork();
    for (; seen >= frameBytes; seen -= frameBytes) socket.write(answer);
    socket.uncork();
  });
});
bare.listen(0, '127.0.0.1', () => {
  const address = bare.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  process.stdout.write(JSON.stringify({ link: link.port, bare: port }));
});
