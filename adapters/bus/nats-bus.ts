import type { AgentBus } from './bus.ts';
import { NatsWire, type NatsWireOptions } from './nats-wire.ts';
import { WireBus } from './wire-bus.ts';

/**
 * The bus on NATS. Returns at once and connects for ever: wait for `ready` where a connection is needed. What is
 * subscribed, served or put before that takes effect with the connection.
 */
export const connectNatsBus = (options: NatsWireOptions): AgentBus =>
  new WireBus(options.cluster, options.user, new NatsWire(options));
