import type { Change } from './history.ts';

export class ViewPublisher {
  changed(_change: Change): void {}
}
