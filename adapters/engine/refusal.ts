import type { OrderRefusal } from './control-protocol.ts';

/** Why an order is not carried out: a stable code, and one sentence for people. */
export class Refused extends Error {
  readonly code: OrderRefusal;

  constructor(code: OrderRefusal, sentence: string) {
    super(sentence);
    this.name = 'Refused';
    this.code = code;
  }
}
